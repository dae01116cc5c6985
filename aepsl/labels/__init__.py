"""Pseudo-labels: mined regions joined with background (paper, section 3.2)."""
