"""Artefacts on disk: HDF5 stores, JSON manifests, models. Nothing here is ever unpickled."""
