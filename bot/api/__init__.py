"""API v1: the JSON interface for programs."""
