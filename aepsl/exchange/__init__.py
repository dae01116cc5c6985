"""Masks in the formats of other tools: out to be corrected or trained on, and back."""
