"""The latents stage: clips and storyboards in, latents and text conditions out."""
