"""Videos to scores: one decode for all metrics of a sample. Importing this loads nothing."""
