"""Datasets: adapters, validation, index, and loading for training."""
