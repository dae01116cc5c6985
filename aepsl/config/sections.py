"""Base class of configuration sections: frozen, validated, with unit and source of each setting."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from aepsl.errors import AepslError, Problem, did_you_mean


def setting(default: Any, doc: str, *, unit: str, source: str, **limits: Any) -> Any:
    """Return a pydantic field that records the unit and the source of a setting."""
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=doc, json_schema_extra=extra, **limits)


class Section(BaseModel):
    """A section: frozen, without unknown keys; strings are coerced to a field's type."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def paths(self) -> set[str]:
        """Return the settings that are paths: results depend on the content, not on the path."""
        return set()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise an error: the stage did not get this setting; see ``StageSettings.section``."""
            if name in type(self).model_fields:
                what = f"the key {name} of {type(self).__name__} is not given"
                raise AepslError.of("--config", what, "give every key that the stage reads")
            return super().__getattr__(name)

    @model_validator(mode="before")
    @classmethod
    def _null_word(cls, values: Any) -> Any:
        """Turn the string ``null`` into None for optional fields: ``--config`` passes strings."""
        if not isinstance(values, Mapping) or "null" not in values.values():
            return values
        nullable = {n for n, f in cls.model_fields.items() if type(None) in get_args(f.annotation)}
        return {n: None if v == "null" and n in nullable else v for n, v in values.items()}


WORD_NULL = BeforeValidator(lambda value: None if value == "null" else value)
"""Turns the string ``null`` into None in the values of a mapping."""

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
    similar = did_you_mean(str(name), _known_keys(model, tuple(path)))
    return similar or "see config.schema.json for the known keys"


def parse(model: type[S], values: Mapping[str, Any], *, where: str) -> S:
    """Return ``values`` as a validated section.

    Raises:
        AepslError: listing each unknown key with the most similar known key, and each bad value.
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
        raise AepslError(problems, "Invalid configuration:") from None


class StageSettings(dict[str, Any]):
    """The settings of one stage, by dotted key."""

    def section(self, name: str, model: type[S]) -> S:
        """Return the section ``name``, validated, with only the settings that the stage received.

        Reading any other setting raises an error, since its default could differ from the run's
        value.
        """
        values: dict[str, Any] = dict(self.get(name, {}))
        for key, value in self.items():
            section, _, rest = key.partition(f"{name}.")
            if not section and rest:
                values[rest] = value
        return _only_given(parse(model, values, where=f"--config {name}"))

    def canonical(self) -> str:
        """Return the settings as JSON with sorted keys, which stores record."""
        return json.dumps(self, sort_keys=True)


def _only_given(section: S) -> S:
    """Remove defaults from a frozen section and its subsections."""
    for name in type(section).model_fields:
        if name not in section.model_fields_set:
            del section.__dict__[name]
        elif isinstance(part := section.__dict__[name], Section):
            _only_given(part)
    return section
