"""Saliency: where the background is."""
