"""What is wrong with a payload, in words that never quote the payload. Called by `payload_codec` and `codec`."""

import re
from typing import Any, NamedTuple, Self

_AT = re.compile(r" - at `(?:key in )?(?P<path>[^`]*)`$")
_EXPECTED_GOT = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_CONSTRAINT = re.compile(r"^Expected `(?P<expected>[^`]+`[^`]*?)(?: - at|$)")
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]+)`")


class ForeignMismatchError(Exception):
    """A pydantic model refused a payload; not a ValueError, so that msgspec passes it on as it is."""

    def __init__(self, error: ValueError) -> None:
        details: Any = getattr(error, "errors", lambda: [{}])()
        self.first: dict[str, Any] = details[0]
        super().__init__()


class Mismatch(NamedTuple):
    """Where a payload differs from its type, and how.

    Attributes:

        path: As `$.field[0]`.

        expected: What the type says.

        got: The kind of value found, never the value.
    """

    path: str
    expected: str
    got: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Read a validation error of msgspec or pydantic; what might quote a value is replaced by general words."""
        if isinstance(error, ForeignMismatchError):
            return cls(_pydantic_path(error.first), *_pydantic_kinds(error.first))
        text = str(error)
        at = _AT.search(text)
        return cls(at["path"] if at else "$", *_msgspec_kinds(text))


def _msgspec_kinds(text: str) -> tuple[str, str]:
    if found := _EXPECTED_GOT.match(text):
        return found["expected"], found["got"]
    if found := _MISSING.match(text):
        return f"the field {found['field']}", "nothing"
    if found := _CONSTRAINT.match(text):
        return found["expected"].replace("`", ""), "a value outside of that"
    return "a value that its type accepts", "another value"


def _pydantic_path(details: dict[str, Any]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in details.get("loc", ()))
    return "$" + "".join(steps)


def _pydantic_kinds(details: dict[str, Any]) -> tuple[str, str]:
    kind = str(details.get("type", "a value that its model accepts"))
    return f"no {kind}" if kind == "missing" else kind, type(details.get("input")).__name__
