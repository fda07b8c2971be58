"""The networks: rate arithmetic, memory encoder, backbones, VAEs, text encoders."""
