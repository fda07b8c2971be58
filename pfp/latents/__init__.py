"""Clips to latents and prompts to conditions. Importing this is light: no torch.

Encode with ``pfp.latents.encode`` (which takes torch), read back with ``pfp.latents.read``.
"""
