"""The plan of a run, used by the Snakefile: stages, dependencies, paths, resources."""
