"""The public page of a round: what was committed to, what was played, and whether it agrees."""
