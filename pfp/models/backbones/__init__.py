"""Diffusion transformers and how memory enters each of them."""
