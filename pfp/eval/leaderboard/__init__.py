"""Generations and scores to one frozen value that every report shows."""
