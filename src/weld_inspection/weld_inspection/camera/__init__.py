"""Sources of frames: device, video, images, bag, simulated."""
