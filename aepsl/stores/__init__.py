"""Files on disk: HDF5 stores, JSON manifests, models. No pickle is ever loaded."""
