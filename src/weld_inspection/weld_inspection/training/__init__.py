"""Clips, datasets and the training of the networks."""
