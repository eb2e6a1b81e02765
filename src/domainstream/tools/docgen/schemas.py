"""JSON Schema of all payloads, with the texts of their docstrings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_origin

import msgspec
import msgspec.inspect as types

from domainstream.errors import ConfigurationError
from domainstream.event.payload_codec import payload_type_of
from domainstream.tools.docgen.docstrings import field_docstrings, parse_docstring
from domainstream.tools.docgen.json_schema import REFERENCE, Schema, to_draft_07
from domainstream.tools.docgen.system import EventClass

_FORMATS: Final = {types.DateTimeType: "date-time", types.TimeType: "time"}
_RECORDS = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_SEQUENCES = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas of a system's payloads."""

    payloads: Mapping[EventClass, Schema]
    """The schema of each event's payload, usually a reference."""

    components: Mapping[str, Schema]
    """The schemas that are referred to, sorted by name."""


def schemas_of(events: Iterable[EventClass]) -> Schemas:
    """Return the schemas of the payloads of `events`.

    Raises `ConfigurationError` for a payload type that JSON Schema cannot express.
    """
    classes = tuple(events)
    payload_types = [payload_type_of(event) for event in classes]
    foreign = _ForeignModels()
    try:
        _, own = _generated(payload_types, foreign)
        # Only the first pass shows which names msgspec takes; the second names the foreign models around them.
        foreign = _ForeignModels(taken=own)
        payloads, own = _generated(payload_types, foreign)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            "The payloads have no JSON Schema:", [f"{error}; use types that JSON knows"]
        ) from error
    components = {**own, **foreign.components()}
    annotator = _Annotator(components)
    for payload_type, schema in zip(payload_types, payloads, strict=True):
        annotator.annotate(types.type_info(payload_type), schema)
    converted = {name: _described(to_draft_07(schema)) for name, schema in sorted(components.items())}
    return Schemas(dict(zip(classes, map(to_draft_07, payloads), strict=True)), converted)


def _generated(payload_types: list[Any], foreign: "_ForeignModels") -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    return msgspec.json.schema_components(payload_types, schema_hook=foreign.refer, ref_template=f"{REFERENCE}{{name}}")


class _ForeignModels:
    """The pydantic models among the payloads, which msgspec does not look into.

    pydantic writes their schemas, and with `use_attribute_docstrings` also the docstrings under their fields.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._names: dict[Any, str] = {}

    def refer(self, model: Any) -> Schema:
        """Return a reference to a model; msgspec calls this for each type that it does not support."""
        if not hasattr(model, "model_json_schema"):
            raise NotImplementedError
        if model not in self._names:
            free = model.__name__ not in self._taken
            self._names[model] = model.__name__ if free else f"{model.__module__}.{model.__name__}"
            self._taken.add(self._names[model])
        return {"$ref": f"{REFERENCE}{self._names[model]}"}

    def components(self) -> dict[str, Schema]:
        """Return the schemas of all models as they are serialized, and of what they refer to."""
        components: dict[str, Schema] = {}
        for model, name in self._names.items():
            schema = model.model_json_schema(mode="serialization", ref_template=f"{REFERENCE}{name}.{{model}}")
            parts = schema.pop("$defs", {})
            components |= {name: schema, **{f"{name}.{part}": definition for part, definition in parts.items()}}
        return components


class _Annotator:
    """Adds to schemas what their types know and msgspec leaves out.

    That is the format of dates and times, which msgspec writes only where a time zone is required, and the docstrings
    under fields. Types and schemas are walked side by side.
    """

    def __init__(self, components: dict[str, Schema]) -> None:
        self._components = components
        self._seen: set[str] = set()

    def annotate(self, info: types.Type, schema: Any) -> None:
        """Complete `schema`, which was made of the type `info`, and the components that it refers to."""
        if not isinstance(schema, dict):
            return
        if "anyOf" in schema:
            for option in schema["anyOf"]:
                self.annotate(info, option)
        elif isinstance(info, types.UnionType | types.Metadata):
            for member in info.types if isinstance(info, types.UnionType) else (info.type,):
                self.annotate(member, schema)
        elif type(info) in _FORMATS:
            # A union holds at most one kind of text, so a text at the place of a date or time is that date or time.
            if schema.get("type") == "string" and not {"format", "enum", "contentEncoding"} & schema.keys():
                schema["format"] = _FORMATS[type(info)]
        else:
            self._annotate_parts(info, schema)

    def _annotate_parts(self, info: types.Type, schema: Schema) -> None:
        if isinstance(info, _RECORDS):
            self._annotate_record(info, schema)
        elif isinstance(info, _SEQUENCES):
            self.annotate(info.item_type, schema.get("items"))
        elif isinstance(info, types.DictType):
            self.annotate(info.value_type, schema.get("additionalProperties"))
        elif isinstance(info, types.TupleType):
            for item_type, item in zip(info.item_types, schema.get("prefixItems", ()), strict=False):
                self.annotate(item_type, item)

    def _annotate_record(self, info: _RECORDS, schema: Schema) -> None:
        name = schema.get("$ref", "").removeprefix(REFERENCE)
        if name in self._seen or name not in self._components:
            return
        self._seen.add(name)
        positions = self._components[name].get("prefixItems", ())
        properties = self._components[name].get("properties", {})
        docstrings = field_docstrings(get_origin(info.cls) or info.cls)
        for number, field in enumerate(info.fields):
            described = positions[number] if number < len(positions) else properties.get(field.encode_name)
            self.annotate(field.type, described)
            if isinstance(described, dict) and field.name in docstrings:
                described.setdefault("description", docstrings[field.name])


def _described(schema: Schema) -> Schema:
    """Move what the docstring of the class says about a field to the field, unless it is described already."""
    docstring = parse_docstring(schema.get("description", ""))
    texts = {_key(name): text for name, text in docstring.fields.items()}
    described = {**schema, "description": docstring.description}
    if "properties" in schema:
        properties = schema["properties"].items()
        described["properties"] = {name: _with_description(field, texts.get(_key(name))) for name, field in properties}
    return described if docstring.description else {k: v for k, v in described.items() if k != "description"}


def _with_description(schema: Schema, text: str | None) -> Schema:
    if not text or "description" in schema:
        return schema
    return to_draft_07({**schema, "description": text})  # type: ignore[no-any-return]  # schemas in, schemas out


def _key(name: str) -> str:
    """Return what a field's names in code and on the wire have in common: stay_id, stayId and StayId are one."""
    return name.replace("_", "").casefold()
