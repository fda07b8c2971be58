"""The train stage: latents and conditions in, one checkpoint an arm out."""
