"""The test suite; it mirrors the tree and enters every part by its front door."""
