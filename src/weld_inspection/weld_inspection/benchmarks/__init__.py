"""What `benchmark` measures, and what it measures against."""
