"""Checkpoint and storyboard to video: the sampler, frame retrieval, the autoregressive roll-out."""
