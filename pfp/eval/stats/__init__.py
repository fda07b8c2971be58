"""Means with intervals, tests of differences, which methods differ. Loads nothing itself."""
