"""Variants: named overrides of the configuration that share every stage they can.

Variants whose effective configuration of a stage is equal share that stage; it is filed under the
first of their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from aepsl.config.run import Config
from aepsl.config.sections import parse
from aepsl.errors import AepslError, Problem
from aepsl.workflow.contents import Contents
from aepsl.workflow.stages import keys_of, needs_of

FIXED = ("run", "runtime", "report", "evaluation", "ablations", "variants")
"""What no variant may override: it is said once for a run."""


def merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``override`` laid over it, section by section."""
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return result


class Variants(dict[str, Config]):
    """Checked configurations by name, in an order: the first of equals is the owner."""

    def __init__(
        self,
        config: Mapping[str, Any],
        overrides: Mapping[str, Mapping[str, Any]],
        contents: Contents,
    ) -> None:
        """Check every variant of ``config``, whose files are known by ``contents``.

        Raises:
            AepslError: if an override has an unknown key, a wrong value, or one fixed for the run.
        """
        super().__init__(
            (name, parse(Config, merged(config, override), where=f"variant {name}"))
            for name, override in overrides.items()
        )
        for name, override in overrides.items():
            wrong = sorted(set(override) & set(FIXED))
            if wrong:
                hint = f"{', '.join(FIXED)} are the same for all variants"
                raise AepslError([Problem(f"variant {name}", f"overrides {wrong[0]}", hint)])
        self._contents = contents
        self.key = cache(self._key)

    def slice_of(self, stage: str, name: str) -> str:
        """Return the keys that matter to ``stage`` under a variant, as canonical JSON."""
        config = self[name]
        return json.dumps(
            {key: self._contents.value(stage, config, key) for key in keys_of(stage, config)},
            sort_keys=True,
        )

    def _key(self, stage: str, name: str, at: int) -> str:
        """Return a digest of all that a stage's result depends on."""
        needs = [self.key(need, name, then) for need, then in needs_of(stage, self[name], at)]
        parts = [stage, self.slice_of(stage, name), *needs]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def owner(self, stage: str, name: str, at: int = 0) -> str:
        """Return the first variant that shares the result of ``stage`` with ``name``."""
        key = self.key(stage, name, at)
        return next(other for other in self if self._shares(stage, other, at, key))

    def _shares(self, stage: str, name: str, at: int, key: str) -> bool:
        return self.key(stage, name, at) == key
