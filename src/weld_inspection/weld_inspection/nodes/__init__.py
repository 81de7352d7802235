"""ROS nodes: messages in, calls inside, results out."""
