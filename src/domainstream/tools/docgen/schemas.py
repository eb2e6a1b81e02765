"""JSON Schema of all payloads, draft 07, with texts from docstrings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from domainstream.errors import ConfigurationError
from domainstream.event.payload_codec import payload_type_of
from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.draft_07 import Schema, to_draft_07
from domainstream.tools.docgen.moments import MomentMarker
from domainstream.tools.docgen.system import EventClass

REFERENCE: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas of a system's payloads."""

    payloads: Mapping[EventClass, Schema]
    """The schema of each event's payload; as a rule a reference."""

    components: Mapping[str, Schema]
    """The schemas that are referred to, by name, sorted."""


def schemas_of(events: Iterable[EventClass]) -> Schemas:
    """Return the schemas of the payloads of `events`, raising `ConfigurationError` for a type that has none."""
    classes = tuple(events)
    payload_types = [payload_type_of(event) for event in classes]
    foreign = _ForeignModels()
    try:
        _, own = _generated(payload_types, foreign)
        # Again, now that it is known which names are taken.
        foreign = _ForeignModels(taken=own)
        payloads, own = _generated(payload_types, foreign)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            "The payloads have no JSON Schema:", [f"{error}; use types that JSON knows"]
        ) from error
    components = {**own, **foreign.components()}
    marker = MomentMarker(components, REFERENCE)
    for payload_type, schema in zip(payload_types, payloads, strict=True):
        marker.mark(msgspec.inspect.type_info(payload_type), schema)
    converted = {name: _described(to_draft_07(schema)) for name, schema in sorted(components.items())}
    return Schemas(dict(zip(classes, map(to_draft_07, payloads), strict=True)), converted)


def resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """Return what a reference refers to; any other schema is returned itself."""
    reference = schema.get("$ref")
    return components[reference.removeprefix(REFERENCE)] if reference else schema


class _ForeignModels:
    """The pydantic models among the payloads, which msgspec does not look into."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._names: dict[Any, str] = {}

    def refer(self, model: Any) -> Schema:
        """Return a reference to the model; msgspec calls this for what it does not know itself."""
        if not hasattr(model, "model_json_schema"):
            raise NotImplementedError
        return {"$ref": f"{REFERENCE}{self._name_of(model)}"}

    def components(self) -> dict[str, Schema]:
        """Return the schemas of all models, as what is written, and of what they refer to."""
        components: dict[str, Schema] = {}
        for model, name in self._names.items():
            schema = model.model_json_schema(mode="serialization", ref_template=f"{REFERENCE}{name}.{{model}}")
            parts = schema.pop("$defs", {})
            components |= {name: schema, **{f"{name}.{part}": one for part, one in parts.items()}}
        return components

    def _name_of(self, model: Any) -> str:
        if model not in self._names:
            free = model.__name__ not in self._taken
            self._names[model] = model.__name__ if free else f"{model.__module__}.{model.__name__}"
            self._taken.add(self._names[model])
        return self._names[model]


def _generated(payload_types: list[Any], foreign: _ForeignModels) -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    return msgspec.json.schema_components(payload_types, schema_hook=foreign.refer, ref_template=f"{REFERENCE}{{name}}")


def _described(schema: Schema) -> Schema:
    """Move what the class's docstring says of a field to the field."""
    docstring = parse_docstring(schema.get("description", ""))
    said = {_key(name): text for name, text in docstring.fields.items()}
    described = {**schema, "description": docstring.description}
    if "properties" in schema:
        properties = schema["properties"].items()
        described["properties"] = {name: _with_description(one, said.get(_key(name))) for name, one in properties}
    return described if docstring.description else {k: v for k, v in described.items() if k != "description"}


def _with_description(schema: Schema, text: str | None) -> Schema:
    if not text or "description" in schema:
        return schema
    return to_draft_07({**schema, "description": text})  # type: ignore[no-any-return]  # schemas in, schemas out


def _key(name: str) -> str:
    """Fields may be renamed on the wire: stay_id, stayId and StayId are one."""
    return name.replace("_", "").casefold()
