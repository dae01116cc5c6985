"""Saliency detection."""
