"""What tests share: real surroundings that a bare machine lacks."""
