"""The `ros2 launch` verb, on launch's own LaunchService."""
