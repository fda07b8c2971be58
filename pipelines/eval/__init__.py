"""The eval stage: checkpoints in, generations, scores and a leaderboard out."""
