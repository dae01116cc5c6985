"""Write lock files with the installed versions, without URLs.

The environment for conda gets the same versions: Snakemake copies its file elsewhere before conda
reads it, so it can name no other file.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONDA = ROOT / "envs" / "aepsl.yaml"
BROUGHT_BY_TORCH = re.compile(r"^(nvidia|cuda|triton)")
"""Pinned by torch itself, and different on each platform."""


def closure(requirements: list[str]) -> dict[str, str]:
    """Return the versions of ``requirements`` and of all that they need."""
    pins: dict[str, str] = {}
    waiting = [Requirement(line) for line in requirements]
    environment = {name: str(value) for name, value in default_environment().items()}
    while waiting:
        wanted = waiting.pop()
        extras = wanted.extras or {""}
        if wanted.marker and not wanted.marker.evaluate(environment | {"extra": ""}):
            continue
        try:
            dist = distribution(wanted.name)
        except PackageNotFoundError:
            raise SystemExit(f"{wanted.name} is not installed: install everything first") from None
        name = re.sub(r"[-_.]+", "-", dist.metadata["Name"]).lower()
        if name in pins or BROUGHT_BY_TORCH.match(name):
            continue
        pins[name] = dist.version.split("+")[0]
        for line in dist.requires or []:
            need = Requirement(line)
            met = (need.marker.evaluate(environment | {"extra": e}) for e in extras)
            if need.marker is None or any(met):
                need.marker = None
                waiting.append(need)
    return pins


def with_pins(environment: str, locks: list[str]) -> str:
    """Return a conda environment's file with the lines of lock files as what pip installs."""
    head, pip, _ = environment.partition("  - pip:\n")
    pins = sorted(line for lock in locks for line in lock.splitlines())
    return head + pip + "".join(f"      - {pin}\n" for pin in pins)


def main() -> None:
    """Write requirements.lock, one file per extra, and the pins of the conda environment."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, builds = about["project"], about["build-system"]["requires"]
    extras = project["optional-dependencies"]
    # An editable install builds here, and uses networks in ONNX format on the CPU.
    runtime = closure([*project["dependencies"], *extras.pop("onnx"), *builds])
    del extras["gpu"]
    sets = {"": runtime}
    for extra, lines in extras.items():
        extended = closure(lines)
        sets[f"-{extra}"] = {n: v for n, v in extended.items() if n not in runtime}
    for suffix, versions in sets.items():
        lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
        (ROOT / f"requirements{suffix}.lock").write_text("".join(lines))
    locks = [(ROOT / f"requirements{suffix}.lock").read_text() for suffix in ("", "-crf")]
    CONDA.write_text(with_pins(CONDA.read_text(), locks))


if __name__ == "__main__":
    main()
