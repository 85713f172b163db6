"""One package per vendor: the bytes a platform sends and takes, and our events and replies."""
