"""Parts of the memory encoder phi; ``pfp.models.memory_encoder`` puts them together."""
