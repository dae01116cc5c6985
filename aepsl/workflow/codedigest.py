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

SILENT = ("aepsl.console", "aepsl.errors", "aepsl.machine", "aepsl.stopping")
"""What a stage says, where it runs and how it ends: never a part of its result."""

TEMPLATES = "templates"
"""A folder beside modules whose files are as good as the code that names them."""


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
def _parsed(path: Path, size: int, time: int) -> tuple[str, tuple[str, ...]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text, ()
    tree = ast.parse(text)
    names = sorted({name for name in _imported(tree) if name.startswith("aepsl.")})
    return _without_docstrings(tree), tuple(names)


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return what counts of a file and the modules that it imports, as it is now."""
    about = path.stat()
    return _parsed(path, about.st_size, about.st_mtime_ns)


def import_closure(module: str) -> dict[str, Path]:
    """Return the modules of this package that ``module`` needs, itself included, by name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(name)
        if path and name not in SILENT and path not in found.values():
            found[name] = path
            waiting += _read(path)[1]
    return found


def _templates(module: Path) -> Iterator[Path]:
    for file in (module.parent / TEMPLATES).glob("*"):
        if file.name in _read(module)[0]:
            yield file


def code_digest(module: str) -> str:
    """Return the digest of ``module`` and its import closure, 16 hex digits."""
    modules = set(import_closure(module).values())
    templates = {file for path in modules for file in _templates(path)}
    digest = hashlib.sha256()
    for path in sorted(modules | templates, key=lambda path: path.relative_to(PACKAGE).as_posix()):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + _read(path)[0].encode())
    return digest.hexdigest()[:16]
