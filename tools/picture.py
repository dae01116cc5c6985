"""Draw which rule follows which into docs/architecture.md, from Snakemake's own graph."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import networkx as nx

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "architecture.md"
COMMAND = ("--rulegraph", "mermaid-js")
"""Of Snakemake; a node is ``id3[name]``, an edge ``id3 --> id7``."""

BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def picture(printed: str) -> str:
    """Return the block for the page from what Snakemake printed.

    An edge is left out where another way leads from its rule to the other one.
    """
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]", printed, re.MULTILINE))
    edges = sorted(
        (names[start], names[end])
        for start, end in re.findall(r"^\s*(id\d+) --> (id\d+)", printed, re.MULTILINE)
    )
    graph = nx.DiGraph(edges)
    for edge in edges:
        graph.remove_edge(*edge)
        if not nx.has_path(graph, *edge):
            graph.add_edge(*edge)
    roots = sorted(name for name, count in graph.in_degree if not count)
    lines = [f"    {start} --> {end}\n" for start, end in nx.edge_bfs(graph, roots)]
    return f"```mermaid\nflowchart TB\n{''.join(lines)}```\n"


def main() -> None:
    """Put the picture into the page, in the place of the one that is there."""
    command = ["snakemake", *COMMAND]
    printed = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    PAGE.write_text(BLOCK.sub(lambda _: picture(printed), PAGE.read_text(), count=1))


if __name__ == "__main__":
    main()
