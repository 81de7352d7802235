"""What tests share: real surroundings that a bare machine lacks, and how to wait in them."""
