"""The train stage: latents and conditions in, one checkpoint a variant out."""
