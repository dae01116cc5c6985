"""Into how many jobs a stage is divided."""

from __future__ import annotations

IMAGES = 1000
"""Of a shard: minutes of work, against the ten seconds that a job costs a cluster."""

MOST = 200
"""Shards of a stage: with ten sharded stages 2,000 jobs, planned in seconds; beyond, they grow."""


def shards_for(images: int) -> int:
    """Return the number of shards for so many images."""
    return min(max(1, -(-images // IMAGES)), MOST)
