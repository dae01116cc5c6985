"""Training: loop and schedules. It knows no method."""
