"""What a section of the configuration is: frozen, checked, each key with its unit and source."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aepsl.errors import AepslError, Problem


def knob(default: Any, doc: str, *, unit: str, source: str, **limits: Any) -> Any:
    """Return a pydantic field that also records the knob's unit and where its value comes from."""
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=doc, json_schema_extra=extra, **limits)


class Section(BaseModel):
    """A part of the configuration: frozen, without unknown keys; strings are coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, values: Any) -> Any:
        """Take the word null for nothing where that is allowed: ``--config`` hands over words."""
        if not isinstance(values, Mapping):
            return values
        nullable = {n for n, f in cls.model_fields.items() if type(None) in get_args(f.annotation)}
        return {n: None if v == "null" and n in nullable else v for n, v in values.items()}


S = TypeVar("S", bound=Section)


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> Iterator[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return
        model = annotation
    yield from model.model_fields


def _hint(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    if error["type"] != "extra_forbidden":
        return "see config.schema.json for every key, its unit and its limits"
    *path, name = error["loc"]
    near = difflib.get_close_matches(str(name), list(_known_keys(model, tuple(path))), n=1)
    return f"did you mean {near[0]}?" if near else "see config.schema.json for the known keys"


def parse(model: type[S], values: Mapping[str, Any], *, where: str) -> S:
    """Return ``values`` as a checked section.

    Raises:
        AepslError: listing each unknown key with its nearest known name, and each wrong value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as failure:
        problems = []
        for error in failure.errors():
            key = ".".join(str(part) for part in error["loc"]) or "(top level)"
            unknown = error["type"] == "extra_forbidden"
            what = "unknown key" if unknown else error["msg"].removeprefix("Value error, ")
            problems.append(Problem(f"{where}: {key}", what, _hint(model, error)))
        raise AepslError(problems, "The configuration cannot be used:") from None


class Slice(dict[str, Any]):
    """The keys of the configuration that one stage reads, by dotted name."""

    def section(self, name: str, model: type[S]) -> S:
        """Return the section ``name``, checked; keys that the stage is not given keep defaults."""
        values: dict[str, Any] = dict(self.get(name, {}))
        for key, value in self.items():
            section, _, rest = key.partition(f"{name}.")
            if not section and rest:
                values[rest] = value
        return parse(model, values, where=f"--config {name}")

    def canonical(self) -> str:
        """Return the slice as JSON with sorted keys, for the stores to record."""
        return json.dumps(self, sort_keys=True)
