"""Tests of the texts of answers."""
