"""Ring buffer, events, bag files and disk budget of the evidence."""
