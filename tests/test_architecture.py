"""The laws of docs/architecture.md, as tests."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "aepsl").rglob("*.py"))


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_import_law():
    result = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sizes_and_docstrings(path):
    source = path.read_text()
    tree = ast.parse(source)
    assert source.count("\n") <= 300
    assert ast.get_docstring(tree), "a module says why it exists"
    for function in functions(tree):
        assert function.end_lineno - function.lineno < 60, function.name
    public = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    nested = {id(inner) for f in functions(tree) for inner in ast.walk(f) if inner is not f}
    for node in public:
        assert id(node) in nested or ast.get_docstring(node), node.name


def test_rules_have_no_bodies_and_the_snakefile_is_short():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        lines = [line.strip() for line in path.read_text().splitlines()]
        assert not {"run:", "script:"} & set(lines), path
    assert (ROOT / "Snakefile").read_text().count("\n") <= 70


def test_locks_hold_versions_only():
    for path in ROOT.glob("*.lock"):
        for line in path.read_text().splitlines():
            assert line.count("==") == 1
            assert "/" not in line
