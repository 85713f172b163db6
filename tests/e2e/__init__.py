"""Acceptance: the real program in real processes, spoken to over HTTP as the platforms do."""
