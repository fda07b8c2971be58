"""Votes of a user study to ratings with intervals. Importing this package loads nothing."""
