"""Tests of the stores, against real engines."""
