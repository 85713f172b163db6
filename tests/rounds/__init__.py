"""The life of rounds."""
