"""The JSON Schemas of an event as its code or its contract file describes it, without importing anything."""

import ast
from collections.abc import Mapping
from typing import Any, Final

from domainstream.event.sensitive import SENSITIVE_KEY
from domainstream.tools.check.model.contract import EventSnapshot, FieldSnapshot, ShapeSnapshot
from domainstream.tools.docgen.words import REFERENCE

Schema = dict[str, Any]
Limits = Mapping[str, Mapping[str, bool | int | float | str]]

_SIMPLE: Final[Mapping[str, Schema]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "timedelta": {"type": "string", "format": "duration"},
    "UUID": {"type": "string", "format": "uuid"},
    "Decimal": {"type": "string", "format": "decimal"},
    "Any": {},
    "list": {"type": "array"},
    "dict": {"type": "object"},
}
_BOUNDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
_LENGTHS: Final = {"string": "Length", "array": "Items", "object": "Properties"}


def schemas_of_snapshot(event: EventSnapshot) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of an event's payload, and those of the classes within it."""
    components = {name: _shape(name, shape, event.types) for name, shape in event.types.items()}
    return {"$ref": f"{REFERENCE}{event.payload}"}, components


def _shape(name: str, shape: ShapeSnapshot, types: Mapping[str, ShapeSnapshot]) -> Schema:
    if shape.members is not None:
        return {"title": name, "enum": shape.members}
    fields = {field: _field(one, types) for field, one in shape.fields.items()}
    if shape.array is not None:
        return {"title": name, "type": "array", "items": [fields[field] for field in shape.array if field in fields]}
    required = [field for field, one in shape.fields.items() if one.required]
    return {"title": name, "type": "object", "properties": fields, "required": required}


def _field(field: FieldSnapshot, types: Mapping[str, ShapeSnapshot]) -> Schema:
    try:
        schema = _schema(ast.parse(field.type, mode="eval").body, types, field.constraints, "")
    except (SyntaxError, ValueError):
        schema = {"title": field.type}
    if not field.sensitive:
        return schema
    return {"allOf": [schema], SENSITIVE_KEY: True} if "$ref" in schema else {**schema, SENSITIVE_KEY: True}


def _schema(node: ast.expr, types: Mapping[str, ShapeSnapshot], limits: Limits, place: str) -> Schema:
    """Return the schema of a type in the one spelling of contract files."""
    if isinstance(node, ast.BinOp):
        return {"anyOf": [_schema(part, types, limits, place) for part in _members(node)]}
    if isinstance(node, ast.Subscript):
        return _generic(node, types, limits, place)
    name = ast.unparse(node)
    if name in types:
        return {"$ref": f"{REFERENCE}{name}"}
    return _limited(dict(_SIMPLE.get(name, {"title": name})), limits, place)


def _generic(node: ast.Subscript, types: Mapping[str, ShapeSnapshot], limits: Limits, place: str) -> Schema:
    name = ast.unparse(node.value)
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return {"enum": [one.value if isinstance(one, ast.Constant) else ast.unparse(one) for one in arguments]}
    if name == "list":
        return _limited({"type": "array", "items": _schema(arguments[0], types, limits, f"{place}[]")}, limits, place)
    if name == "dict":
        values = _schema(arguments[-1], types, limits, f"{place}{{}}")
        return _limited({"type": "object", "additionalProperties": values}, limits, place)
    if name == "tuple":
        items = [_schema(one, types, limits, f"{place}[{number}]") for number, one in enumerate(arguments)]
        return {"type": "array", "items": items}
    return {"title": ast.unparse(node)}


def _members(node: ast.expr) -> list[ast.expr]:
    return [*_members(node.left), *_members(node.right)] if isinstance(node, ast.BinOp) else [node]


def _limited(schema: Schema, limits: Limits, place: str) -> Schema:
    """Add what values at a place of a type must satisfy; what null would have to satisfy is left out."""
    kind = schema.get("type")
    if kind == "null":
        return schema
    for name, value in limits.get(place, {}).items():
        if name in _BOUNDS:
            schema[_BOUNDS[name]] = value
        elif name in {"min_length", "max_length"} and kind in _LENGTHS:
            schema[f"{name[:3]}{_LENGTHS[kind]}"] = value
    return schema
