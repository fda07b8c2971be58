"""Parts of the memory encoder phi; ``pfp.models.memory.encoder`` puts them together."""
