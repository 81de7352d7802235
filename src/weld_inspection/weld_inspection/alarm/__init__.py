"""The alarm's state machine, its tones and its speakers."""
