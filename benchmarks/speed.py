"""Speed of each part of the project, beside other ways to the same result: docs/benchmarks.md.

    AEPSL_DATA=<folder of the data> python benchmarks/speed.py [PART ...] [--quick] [--rounds N]

The ways of a part alternate in rounds, in one process, so that other work on the machine disturbs
all of them; tables give the median and the quartiles. The figures are kept in docs/benchmarks.json,
from which docs/benchmarks.md is written; parts that are not measured again keep theirs. --quick
takes few, small images and narrow networks, and writes nothing: it only shows that the parts run.

The machine has to be quiet. Compared with if installed: pip install grad-cam openvino zarr
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speed_tools import Bench, Row, Table

from aepsl.host import cpu

DOCS = Path(__file__).resolve().parent.parent / "docs"
PARTS = (
    *("cams", "training", "prediction", "saliency", "crf", "arrays", "stores", "startup"),
    *("growth", "gpu"),
)
LIBRARIES = (
    *("torch", "torchvision", "numpy", "scipy", "scikit-image", "opencv-python-headless"),
    *("pillow", "h5py", "onnxruntime", "pydensecrf2", "torchcam", "grad-cam", "openvino", "zarr"),
)
THREADS = ("OMP", "OPENBLAS", "MKL")
HEAD = """# Benchmarks

How fast each part is, beside other ways to the same result and beside the limit: the bare network,
without reading, storing and checking. Measured by `benchmarks/speed.py`, which writes this page; do
not edit it.

    AEPSL_DATA=<folder of the data> python benchmarks/speed.py [PART ...]

The ways of a table alternate in rounds, in one process. *Median* and *quartiles* are over the
rounds; *ratio* is the median of the ratios within a round. One thread unless said.
"""


def one_thread() -> None:
    """Limit every library to one thread; before any of them is imported."""
    for library in THREADS:
        os.environ[f"{library}_NUM_THREADS"] = "1"
    torch, cv2 = importlib.import_module("torch"), importlib.import_module("cv2")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def machine() -> str:
    """Return the processor and the GPU in words."""
    torch = importlib.import_module("torch")
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    units = " and ".join(cpu()[1]) or "no units for bfloat16"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{names[0] if names else platform.machine()}, {cores} cores, {units}; {gpu}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are there."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def number(value: float | None) -> str:
    """Return a figure with three digits."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def lines_of(table: Table):
    """Yield a table as Markdown; columns without values are left out."""
    ratio = f"ratio to {table.against}" if any(row.ratio for row in table.rows) else ""
    spread = any(row.low != row.high for row in table.rows)
    noted = "note" if any(row.note for row in table.rows) else ""
    head = ["", f"{table.statistic}, {table.unit}", "quartiles" if spread else "", ratio, noted]
    kept = [True, *map(bool, head[1:])]
    yield f"**{table.title}**"
    yield ""
    yield row_of_cells(head, kept)
    yield row_of_cells(["---", "---:", "---:", "---:", "---"], kept)
    for row in table.rows:
        quartiles = f"{number(row.low)} to {number(row.high)}" if row.low is not None else ""
        cells = [row.way, number(row.median), quartiles, number(row.ratio), row.note]
        yield row_of_cells(cells, kept)
    yield ""


def row_of_cells(cells: list[str], kept: list[bool]) -> str:
    """Return a line of a Markdown table with the cells that are kept."""
    return f"| {' | '.join(c for c, keep in zip(cells, kept, strict=True) if keep)} |"


def page(parts: dict) -> str:
    """Return docs/benchmarks.md."""
    text = [HEAD]
    for name in PARTS:
        if name not in parts:
            continue
        part = parts[name]
        libraries = ", ".join(f"{key} {value}" for key, value in part["versions"].items())
        text += [f"## {name}\n", part["about"], ""]
        for table in part["tables"]:
            rows = [Row(**row) for row in table["rows"]]
            text += lines_of(Table(**{**table, "rows": rows}))
        if part.get("picture"):
            text.append(f"![{name}]({part['picture']})\n")
        how = f"{part['date']}, {part['rounds']} rounds, on {part['data']}"
        text.append(f"`{part['command']}`, {how}.")
        text.append(f"{part['machine']}. {libraries}.\n")
    return "\n".join(text).rstrip("\n") + "\n"


def measured(name: str, bench: Bench) -> dict:
    """Measure a part and print its tables; return what is kept of it."""
    module = importlib.import_module(f"speed_{name}")
    print(f"## {name}\n", flush=True)
    tables = []
    for table in module.measure(bench):
        tables.append(table)
        print("\n".join(lines_of(table)), flush=True)
    if picture := getattr(module, "PICTURE", ""):
        module.draw(tables, (bench.folder if bench.quick else DOCS) / picture)
    return {
        "about": module.__doc__.strip(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "command": f"AEPSL_DATA=<folder> python benchmarks/speed.py {name}",
        "data": "photographs" if bench.data else "generated images",
        "rounds": bench.rounds,
        "picture": picture,
        "tables": [asdict(table) for table in tables],
    }


def keep(name: str, part: dict) -> None:
    """Put a part's figures into docs/benchmarks.json, and write docs/benchmarks.md."""
    file = DOCS / "benchmarks.json"
    parts = json.loads(file.read_text()) if file.exists() else {}
    parts[name] = part
    file.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n")
    (DOCS / "benchmarks.md").write_text(page(parts))


def main():
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few small images; writes nothing")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    data = Path(os.environ["AEPSL_DATA"]).resolve() if "AEPSL_DATA" in os.environ else None
    one_thread()
    for name in given.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), data, given.quick, 1 if given.quick else given.rounds)
            part = measured(name, bench)
        if not given.quick:
            keep(name, part)
    print("measured:", *(given.parts or PARTS))


if __name__ == "__main__":
    sys.exit(main())
