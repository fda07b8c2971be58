"""The caption stage: clips in, storyboards out."""
