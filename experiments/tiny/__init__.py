"""How the tiny family was trained that ships with pfp: its VAE, its base DiT and its variants."""
