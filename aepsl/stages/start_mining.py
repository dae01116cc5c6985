"""Step 0 of Algorithm 1: an empty region store, so that step 1 has a predecessor."""

from __future__ import annotations

from aepsl.stages._options import Output
from aepsl.stores.records import write_empty


def start_mining(
    output: Output,
) -> None:
    """Write an empty region store, from which the first mining step starts."""
    write_empty(output, kind="regions")
