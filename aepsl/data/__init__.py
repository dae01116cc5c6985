"""Datasets in: adapters, checks, the index, loading."""
