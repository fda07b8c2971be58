"""Latents to checkpoint: objective, noise schedule, window sampler, loop, checkpoint."""
