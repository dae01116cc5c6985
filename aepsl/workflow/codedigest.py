"""Digest of a stage's code, so that changing a module reruns the stages that import it.

Snakemake sees commands, not imported modules. The digest covers a module and all modules of this
package that it imports, found statically. Comments, docstrings, formatting, the annotations of
functions (which describe the options of a stage) and the modules in :data:`IGNORED_MODULES` are
excluded.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent

IGNORED_MODULES = (
    "aepsl.concurrency",
    "aepsl.console",
    "aepsl.errors",
    "aepsl.host",
    "aepsl.stages._options",
    "aepsl.signals",
    "aepsl.stores.cache",
)
"""Modules that cannot change results: options, logging, errors, signals, cache."""

TEMPLATES = "templates"
"""Folder of templates; a template counts as code of the neighbouring module that names it."""


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


def _executable_ast(tree: ast.Module) -> str:
    """Return the code without docstrings and without annotations of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
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
    return _executable_ast(tree), tuple(names)


def _module_facts(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the relevant code of a file, and the modules that it imports."""
    about = path.stat()
    return _parsed(path, about.st_size, about.st_mtime_ns)


def import_closure(module: str) -> dict[str, Path]:
    """Return all modules of this package that ``module`` imports, directly or not, and itself."""
    modules: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(name)
        if path and name not in IGNORED_MODULES and path not in modules.values():
            modules[name] = path
            waiting += _module_facts(path)[1]
    return modules


def _templates(module: Path) -> Iterator[Path]:
    for file in (module.parent / TEMPLATES).glob("*"):
        if file.name in _module_facts(module)[0]:
            yield file


def code_digest(module: str) -> str:
    """Return the digest of ``module`` and its import closure, 16 hex digits."""
    modules = set(import_closure(module).values())
    templates = {file for path in modules for file in _templates(path)}
    digest = hashlib.sha256()
    for path in sorted(modules | templates, key=lambda path: path.relative_to(PACKAGE).as_posix()):
        digest.update(
            path.relative_to(PACKAGE).as_posix().encode() + _module_facts(path)[0].encode()
        )
    return digest.hexdigest()[:16]
