"""Copy a run's tables into docs/results.md; its plots, and the scores of each seed, next to it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def publish(run: str) -> None:
    """Replace the text between ``<!-- tables: run -->`` and ``<!-- end -->``."""
    made = ROOT / "results" / run / "ablations"
    page = ROOT / "docs" / "results.md"
    begin, end = f"<!-- tables: {run} -->", "<!-- end -->"
    tables = (made / "tables.md").read_text(encoding="utf-8")
    tables = tables.replace("](", f"](results/{run}/").replace("## ", "### ")
    text, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n{tables}{end}",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if not count:
        raise SystemExit(f"{page} has no line {begin}")
    page.write_text(text, encoding="utf-8")
    beside = page.parent / "results" / run
    beside.mkdir(parents=True, exist_ok=True)
    for file in (*made.glob("*.png"), *made.glob("*.csv")):
        shutil.copy(file, beside / file.name)


if __name__ == "__main__":
    publish(sys.argv[1])
