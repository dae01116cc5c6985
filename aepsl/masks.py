"""Pixel values of masks: 0 is background, class k is k + 1, 255 is ignored."""

IGNORE_INDEX = 255
"""Ignore index: excluded from training and, in a true mask, from scores; in a prediction a miss."""

BACKGROUND_NAME = "background"
"""Name of pixel value 0; no class may use it."""

IGNORED_NAME = "ignored"
"""Name of pixel value 255 in the formats of other tools."""

MOST_CLASSES = IGNORE_INDEX - 1
"""Largest number of classes in an 8-bit mask, in which 0 and 255 are reserved."""
