"""Weld inspection with bidirectional convolutional recurrent reconstructive networks."""
