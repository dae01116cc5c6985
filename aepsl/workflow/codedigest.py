"""A digest of the code that a stage runs, so that a changed module reruns what it touches.

Snakemake sees commands, not imported modules. The digest covers a module and everything of this
package that it imports, followed statically; comments, docstrings and layout do not count, nor
do the modules that only speak.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent

SILENT = ("aepsl.console", "aepsl.errors", "aepsl.stopping")
"""What a stage says and how it ends: never a part of its result."""


def _module_path(name: str) -> Path | None:
    relative = Path(*name.split(".")[1:])
    for path in (PACKAGE / relative.with_suffix(".py"), PACKAGE / relative / "__init__.py"):
        if relative.parts and path.is_file():
            return path
    return None


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return ast.dump(tree)


@cache
def _parsed(path: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = sorted({name for name in _imported(tree) if name.startswith("aepsl.")})
    return _without_docstrings(tree), tuple(names)


def import_closure(module: str) -> dict[str, Path]:
    """Return the modules of this package that ``module`` needs, itself included, by name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(name)
        if path and name not in SILENT and path not in found.values():
            found[name] = path
            waiting += _parsed(path)[1]
    return found


def code_digest(module: str) -> str:
    """Return the digest of ``module`` and its import closure, 16 hex digits."""
    closure = import_closure(module)
    digest = hashlib.sha256()
    for path in sorted(closure.values(), key=lambda path: path.relative_to(PACKAGE).as_posix()):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + _parsed(path)[0].encode())
    return digest.hexdigest()[:16]
