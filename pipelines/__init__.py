"""The five pipelines: each picks parts of pfp and says how many machines."""
