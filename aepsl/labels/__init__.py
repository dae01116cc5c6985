"""Pseudo-labels: mined regions combined with background (paper, section 3.2)."""
