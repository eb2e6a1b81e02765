"""Marks the fields of payloads whose values not everybody may see."""

from typing import Final

from msgspec import Meta

SENSITIVE_KEY: Final = "x-sensitive"
"""The keyword of JSON Schema that marks a field."""

SENSITIVE: Final = Meta(extra_json_schema={SENSITIVE_KEY: True})
"""Marks a field: `name: Annotated[str, SENSITIVE]`. It changes nothing on the wire."""
