"""Generated videos to scores to a leaderboard. Importing this package loads nothing."""
