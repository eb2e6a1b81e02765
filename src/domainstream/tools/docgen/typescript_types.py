"""Writes JSON Schema as TypeScript types."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from domainstream.tools.docgen.json_schema import REFERENCE, Schema

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_SIMPLE: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_OWN_NAMES: Final = "Channel RedisEvent CloudEvent DomainEvents DomainEvent JobData Queues Record Readonly"
_WORDS: Final = "any bigint boolean never null number object string symbol undefined unknown void default class enum"
RESERVED: Final = frozenset(f"{_OWN_NAMES} {_WORDS}".split())
"""Names that the generated file defines or uses itself, and words that cannot name a type."""


def literal(value: Any) -> str:
    """Return a JSON value as TypeScript; characters beyond ASCII are escaped."""
    return json.dumps(value)


def comment(text: str, indent: str = "") -> str:
    """Return `text` as a comment above a declaration, or nothing for an empty text. The text cannot end the comment."""
    lines = text.replace("*/", "*\\/").splitlines()
    if len(lines) < 2:
        return f"{indent}/** {lines[0]} */\n" if lines else ""
    middle = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{middle}{indent} */\n"


class TypeWriter:
    """Writes types that refer to each other."""

    def __init__(self, components: Iterable[str]) -> None:
        self.names: dict[str, str] = {}
        """The name of each component in TypeScript."""
        for component in components:
            name = re.sub(r"[^A-Za-z0-9_]", "_", component)
            while name in RESERVED or name in self.names.values() or not _IDENTIFIER.fullmatch(name):
                name = f"_{name}"
            self.names[component] = name

    def type_of(self, schema: Any) -> str:
        """Return the type of the values that fit `schema`."""
        if not isinstance(schema, Mapping):
            return "never" if schema is False else "unknown"
        if "$ref" in schema:
            return self.names[schema["$ref"].removeprefix(REFERENCE)]
        if "const" in schema:
            return literal(schema["const"])
        if "enum" in schema:
            return " | ".join(map(literal, schema["enum"])) or "never"
        for key, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
            if key in schema:
                parts = dict.fromkeys(self._part(option) for option in schema[key])
                return sign.join(parts)
        return self._by_kind(dict(schema))

    def _part(self, schema: Any) -> str:
        written = self.type_of(schema)
        return f"({written})" if " | " in written or " & " in written else written

    def _by_kind(self, schema: Schema) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self.type_of({**schema, "type": name}) for name in kind)
        if kind == "array":
            return self._array(schema)
        if kind == "object":
            return self._object(schema)
        return _SIMPLE.get(str(kind), "unknown")

    def _array(self, schema: Schema) -> str:
        items = schema.get("items", {})
        if not isinstance(items, list):
            return f"readonly {self._part(items)}[]"
        least = schema.get("minItems", 0)
        parts = [self._part(item) + ("" if number < least else "?") for number, item in enumerate(items)]
        open_end = schema.get("additionalItems", True) is not False and "maxItems" not in schema
        return f"readonly [{', '.join([*parts, *(['...unknown[]'] if open_end else [])])}]"

    def _object(self, schema: Schema) -> str:
        if "properties" not in schema:
            return f"Readonly<Record<string, {self.type_of(schema.get('additionalProperties', {}))}>>"
        required = schema.get("required", ())
        return "{\n" + "".join(self._field(n, s, n in required) for n, s in schema["properties"].items()) + "}"

    def _field(self, name: str, schema: Any, required: bool) -> str:
        key = name if _IDENTIFIER.fullmatch(name) else literal(name)
        description = comment(schema.get("description", "") if isinstance(schema, Mapping) else "", "  ")
        return f"{description}  readonly {key}{'' if required else '?'}: {self.type_of(schema)};\n"
