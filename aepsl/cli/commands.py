"""Stage commands, built from the stages' signatures and imported only when called."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from aepsl import stages
from aepsl.cli.cached import cached
from aepsl.cli.gpus import with_gpus
from aepsl.cli.job import job
from aepsl.cli.launch import in_processes
from aepsl.workflow.stages import STAGES

NAMES = list(dict.fromkeys(about.module or name for name, about in STAGES.items()))
"""The stages, in the order of the workflow."""

PANEL = "Stages (called by the workflow's rules)"
"""Heading of the stages in ``aepsl --help``."""


def _help(docstring: str | None) -> str:
    """Return a docstring without its sections ``Args`` and ``Raises``."""
    text = inspect.cleandoc(docstring or "")
    return text.partition("\n\nArgs:")[0].partition("\n\nRaises:")[0]


def _summary(name: str) -> str:
    """Return the first line of a stage's docstring without importing the module."""
    code = ast.parse(Path(stages.__path__[0], f"{name}.py").read_text(encoding="utf-8"))
    for node in code.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _help(ast.get_docstring(node)).partition("\n")[0]
    raise LookupError(name)


def _as_command(name: str, function: Callable[..., None], text: str) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name.replace("_", "-"), help=text, rich_help_panel=PANEL)(function)
    return typer.main.get_command(app)


def stage_command(name: str) -> Any:
    """Return the command of a stage: its function, wrapped with log, lock and cache."""
    stage: Callable[..., None] = getattr(import_module(f"aepsl.stages.{name}"), name)
    parameters = inspect.signature(stage).parameters
    command = job(cached(with_gpus(stage) if "device" in parameters else stage))
    if "training_gpus" in parameters:
        command = in_processes(command)
    return _as_command(name, command, _help(stage.__doc__))


class LazyCommands(TyperGroup):
    """The tools for users and the stage commands, as one group."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*super().list_commands(ctx), *(name.replace("_", "-") for name in NAMES)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for a stage only its name and summary, enough for ``--help``."""
        name = cmd_name.replace("-", "_")
        if name not in NAMES:
            return super().get_command(ctx, cmd_name)
        return _as_command(name, lambda: None, _summary(name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, with its arguments; no stage for shell completion."""
        name, command, rest = super().resolve_command(ctx, args)
        stage = (name or "").replace("-", "_")
        if stage in NAMES and not ctx.resilient_parsing:
            command = stage_command(stage)
        return name, command, rest
