"""Latents to checkpoint: objective, frame sampling, data order, loop, checkpoint."""
