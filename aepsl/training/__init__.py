"""Training loop and schedules, independent of the method."""
