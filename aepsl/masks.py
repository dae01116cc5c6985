"""What every mask in the project means by its numbers: 0 background, 1 + class, and this."""

IGNORED = 255
"""No class: not trained on, not counted where the truth says it, a miss where an answer says it."""

BACKGROUND_NAME = "background"
"""The name of 0, which no class may have."""

MOST_CLASSES = IGNORED - 1
"""A mask is 8 bits."""
