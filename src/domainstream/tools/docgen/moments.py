"""Says of texts that are moments that they are.

msgspec itself does so only where a time zone is demanded.
"""

from typing import Any, Final

import msgspec.inspect as types

from domainstream.tools.docgen.draft_07 import Schema

_FORMATS: Final = {types.DateTimeType: "date-time", types.TimeType: "time"}
_RECORDS = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_SEQUENCES = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType


class MomentMarker:
    """Walks through types and their schemas side by side."""

    def __init__(self, components: dict[str, Schema], reference: str) -> None:
        self.components = components
        """The schemas that are referred to; they are changed."""
        self._reference = reference
        self._seen: set[str] = set()

    def mark(self, info: types.Type, schema: Any) -> None:
        """Add the format to every moment in `schema`, which was made of the type `info`."""
        if not isinstance(schema, dict):
            return
        if "anyOf" in schema:
            for option in schema["anyOf"]:
                self.mark(info, option)
        elif isinstance(info, types.UnionType | types.Metadata):
            for member in info.types if isinstance(info, types.UnionType) else (info.type,):
                self.mark(member, schema)
        elif type(info) in _FORMATS:
            self._mark_text(_FORMATS[type(info)], schema)
        else:
            self._mark_parts(info, schema)

    @staticmethod
    def _mark_text(text_format: str, schema: Schema) -> None:
        # A union holds one kind of text at the most, so that a text beside a moment's type is the moment.
        if schema.get("type") == "string" and not {"format", "enum", "contentEncoding"} & schema.keys():
            schema["format"] = text_format

    def _mark_parts(self, info: types.Type, schema: Schema) -> None:
        if isinstance(info, _RECORDS):
            self._mark_record(info, schema)
        elif isinstance(info, _SEQUENCES):
            self.mark(info.item_type, schema.get("items"))
        elif isinstance(info, types.DictType):
            self.mark(info.value_type, schema.get("additionalProperties"))
        elif isinstance(info, types.TupleType):
            for item, one in zip(info.item_types, schema.get("prefixItems", ()), strict=False):
                self.mark(item, one)

    def _mark_record(self, info: _RECORDS, schema: Schema) -> None:
        name = schema.get("$ref", "").removeprefix(self._reference)
        if name in self._seen or name not in self.components:
            return
        self._seen.add(name)
        positions = self.components[name].get("prefixItems", ())
        properties = self.components[name].get("properties", {})
        for number, field in enumerate(info.fields):
            self.mark(field.type, positions[number] if number < len(positions) else properties.get(field.encode_name))
