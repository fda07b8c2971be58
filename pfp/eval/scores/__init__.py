"""What the tables of a run hold, rescored and exported. Importing this package loads nothing."""
