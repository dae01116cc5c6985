"""Stages: one module per rule, which loads inputs, calls the core and stores the result."""
