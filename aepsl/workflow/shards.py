"""Number of shards of a stage."""

from __future__ import annotations

IMAGES = 1000
"""Images per shard: minutes of work, compared to about 10 s overhead per cluster job."""

MOST = 200
"""Largest number of shards: ten sharded stages give 2,000 jobs, which are planned in seconds."""


def shards_for(images: int) -> int:
    """Return the number of shards for ``images``."""
    return min(max(1, -(-images // IMAGES)), MOST)
