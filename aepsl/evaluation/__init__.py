"""Scores against true masks."""
