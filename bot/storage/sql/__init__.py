"""History: written by draining, read by people."""
