"""Windows of frames, the inference engine, eq. (9), regions and tracks."""
