"""Base class of configuration sections: frozen, validated, with unit and source of each setting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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


LIMITS = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "below {:g}",
}
"""Words for the limits of a number in a JSON schema."""


def limits(schema: Mapping[str, Any]) -> str:
    """Return the limits of a setting in words, from its JSON schema; no text without any."""
    parts = (schema, *schema.get("anyOf", ()))
    return ", ".join(
        t.format(part[key]) for part in parts for key, t in LIMITS.items() if key in part
    )


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a type is, or holds: as one of several, or in a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _place(model: type[BaseModel], path: Iterable[Any]) -> tuple[type[BaseModel], str]:
    """Return the section to which a path leads, and its setting; no text for the section itself."""
    name = ""
    for part in map(str, path):
        if part in model.model_fields:  # else the key of a mapping, or a number in a list
            section = _section_in(model.model_fields[part].annotation)
            model, name = (section, "") if section else (model, part)
    return model, name


def _described(section: type[BaseModel], name: str) -> str:
    """Return what a setting is, with its limits and its unit."""
    schema = section.model_json_schema()["properties"][name]
    about = [text for text in (limits(schema), schema["unit"]) if text not in ("", "-")]
    return schema["description"].rstrip(".") + (f" ({'; '.join(about)})" if about else "")


def _hint(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    """Return the most similar key for an unknown one, or the known keys; else what a value is."""
    path, unknown = error["loc"], error["type"] == "extra_forbidden"
    section, name = _place(model, path[:-1] if unknown else path)
    if name and not unknown:
        return _described(section, name)
    similar = did_you_mean(str(path[-1]), section.model_fields) if unknown else ""
    return similar or f"the keys are {', '.join(section.model_fields)}"


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
