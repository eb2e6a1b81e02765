"""The JSON Schemas of messages: that of the envelope, and those of all payloads with the texts of their docstrings.

They are in draft 07, because that is what AsyncAPI reads; msgspec and pydantic write draft 2020-12.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, get_origin

import msgspec
import msgspec.inspect as types

from domainstream.errors import ConfigurationError
from domainstream.event import EventMessage
from domainstream.event.foreign_types import plain_type_of
from domainstream.event.payload_codec import payload_type_of
from domainstream.tools.docgen.docstrings import field_docstrings, parse_docstring
from domainstream.tools.docgen.system import EventClass
from domainstream.tools.docgen.words import REFERENCE

Schema = dict[str, Any]

ATTRIBUTES: Final = {
    "specversion": "The version of CloudEvents.",
    "id": "The event's id, a UUIDv7; the same id is the same event.",
    "source": "The service that published it.",
    "type": "The event's type, equal to the channel's value.",
    "time": "When it happened: RFC 3339, in UTC.",
    "subject": "The aggregate's id.",
    "datacontenttype": "Always application/json.",
    "dataschema": "The payload's type and version.",
    "correlationid": "The business transaction: the id of the event that started it.",
    "causationid": "The id of the event that led to this one.",
    "traceparent": "W3C Trace Context.",
    "tracestate": "W3C Trace Context.",
    "partitionkey": "Events that share it belong together; without it, those of one aggregate.",
    "sequence": "The event's number within the aggregate: 20 digits.",
}
"""The description of each attribute of the envelope; `data` is missing because it differs from message to message."""

ALWAYS: Final = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data")
"""The attributes that every message has."""

_FORMATS: Final = {types.DateTimeType: "date-time", types.TimeType: "time"}
_RECORDS = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_SEQUENCES = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType

# The keywords whose value is a schema, a list of schemas, or schemas by name.
_SCHEMA: Final = frozenset({"items", "additionalItems", "additionalProperties", "not", "contains", "propertyNames"})
_LIST: Final = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_TABLE: Final = frozenset({"properties", "patternProperties"})
# A keyword of OpenAPI that AsyncAPI reads differently; the constant tag of each alternative holds the same information.
_DROPPED: Final = frozenset({"discriminator"})
# The keywords whose value is a list of values.
_VALUES: Final = frozenset({"enum", "examples"})


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


def envelope_schema() -> Schema:
    """Return the schema that all messages share. Publishers leave an attribute out rather than write null."""
    generated = msgspec.json.schema_components([EventMessage])[1]["EventMessage"]["properties"]
    properties = {}
    for name, description in ATTRIBUTES.items():
        options = generated[name].get("anyOf", [generated[name]])
        not_null = next(option for option in options if option.get("type") != "null")
        properties[name] = {**not_null, "description": description}
    return {
        "title": "CloudEvent",
        "description": "One event as a CloudEvents 1.0 JSON object.",
        "type": "object",
        "properties": properties,
        "required": list(ALWAYS),
    }


def _generated(payload_types: list[Any], foreign: "_ForeignModels") -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    return msgspec.json.schema_components(payload_types, schema_hook=foreign.refer, ref_template=f"{REFERENCE}{{name}}")


class _ForeignModels:
    """The pydantic models among the payloads, which msgspec does not look into, and subclasses of plain types.

    pydantic writes their schemas, and with `use_attribute_docstrings` also the docstrings under their fields.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._names: dict[Any, str] = {}

    def refer(self, model: Any) -> Schema:
        """Return a reference to a model; msgspec calls this for each type that it does not support."""
        if (plain := plain_type_of(model)) is not None:
            return msgspec.json.schema(plain)
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
    described = {**schema, "description": docstring.description}
    if not docstring.description:
        del described["description"]
    texts = {_key(name): text for name, text in docstring.fields.items()}
    if "properties" in schema:
        described["properties"] = dict(schema["properties"])
    for name, field in schema.get("properties", {}).items():
        text = texts.get(_key(name))
        if text and "description" not in field:
            described["properties"][name] = to_draft_07({**field, "description": text})
    return described


def _key(name: str) -> str:
    """Return what a field's names in code and on the wire have in common: stay_id, stayId and StayId are one."""
    return name.replace("_", "").casefold()


def to_draft_07(schema: Any) -> Any:
    """Return the schema with the keywords of draft 07; data within it, such as a default, stays as it is.

    What JSON has no number for is left out: a default, bound, example or constant that is infinite or not a number.
    """
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: list(filter(_is_json, value)) if key in _VALUES else value for key, value in schema.items()}
    schemas = _SCHEMA | _LIST | _TABLE
    converted = {
        key: _converted(key, value)
        for key, value in kept.items()
        if key not in _DROPPED and (key in schemas or (_is_json(value) and (value or key not in _VALUES)))
    }
    if "prefixItems" in converted:
        # In draft 07 the items of a tuple are `items`, and what may follow them is `additionalItems`.
        following = converted.pop("items", True)
        converted |= {"items": converted.pop("prefixItems"), "additionalItems": following}
    if "$ref" in converted and len(converted) > 1:
        # Draft 07 ignores what is beside a reference, so the reference is wrapped.
        return {"allOf": [{"$ref": converted.pop("$ref")}], **converted}
    return converted


def _is_json(value: Any) -> bool:
    """Return whether all numbers of a value are numbers in JSON; `json.dumps` would write `Infinity` and `NaN`."""
    if isinstance(value, Mapping):
        return all(map(_is_json, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return not isinstance(value, float) or isfinite(value)


def _converted(key: str, value: Any) -> Any:
    if key in _SCHEMA:
        return to_draft_07(value)
    if key in _LIST:
        return [to_draft_07(part) for part in value]
    if key in _TABLE:
        return {name: to_draft_07(part) for name, part in value.items()}
    return value
