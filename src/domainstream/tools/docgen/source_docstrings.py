"""The docstrings of classes and fields of a system, read from its files without importing them."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.domain import Shape
from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.entries import Schema


class SourceDocstrings:
    """Reads each file once."""

    def __init__(self, root: Path) -> None:
        """Read the files below `root`."""
        self._root = root
        self._files: dict[str, dict[int, str]] = {}

    def at(self, location: Location) -> str:
        """Return the docstring of the class, or under the field, that begins at a line; empty without one."""
        if location.path not in self._files:
            self._files[location.path] = dict(_docstrings(self._root / location.path))
        return self._files[location.path].get(location.line, "")

    def describe(self, shapes: Mapping[str, Shape], components: Mapping[str, Schema]) -> None:
        """Add to the schemas of classes what the docstrings of these, and those under their fields, say of fields."""
        for name, shape in shapes.items():
            listed = parse_docstring(self.at(shape.location)).fields
            properties = components.get(name, {}).get("properties", {})
            for field in shape.fields:
                text = self.at(field.location) or listed.get(field.attribute, "")
                if text and field.name in properties:
                    properties[field.name]["description"] = text


def _docstrings(path: Path) -> Iterator[tuple[int, str]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # the check reports it
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        yield node.lineno, ast.get_docstring(node) or ""
        for field, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                yield field.lineno, inspect.cleandoc(str(text.value.value))
