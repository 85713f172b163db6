"""The rules of games, and the chance they use."""
