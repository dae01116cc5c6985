"""Prohibitive segmentation learning, prediction and its refinement (paper, section 3.2)."""
