"""A Python file that is edited in place: its text, its syntax tree, and the position of each node in the text.

Edits splice text at the positions of nodes, so everything else stays the same to the byte, including comments and
blank lines.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper

from domainstream.tools.scaffold.errors import CannotEditError
from domainstream.tools.scaffold.style import exploded

Literal = cst.List | cst.Tuple | cst.Set | cst.Dict
Assignment = cst.Assign | cst.AnnAssign | cst.TypeAlias
NodeT = TypeVar("NodeT", bound=cst.CSTNode)


class Source:
    """An immutable version of a file; every edit returns a new one."""

    def __init__(self, path: str, text: str, width: int) -> None:
        self.path = path
        """The path, for messages."""
        self.text = text
        """The code."""
        self.width = width
        """The maximum length of a line."""

    @cached_property
    def module(self) -> cst.Module:
        """The syntax tree; raises `CannotEditError` for invalid Python."""
        return self._wrapper.module

    @cached_property
    def _wrapper(self) -> MetadataWrapper:
        try:
            return MetadataWrapper(cst.parse_module(self.text), unsafe_skip_copy=True)
        except cst.ParserSyntaxError as error:
            raise CannotEditError(self.path, f"line {error.raw_line} is not valid Python", "fix it") from None

    @cached_property
    def _spans(self) -> Mapping[cst.CSTNode, CodeSpan]:
        return self._wrapper.resolve(ByteSpanPositionProvider)

    @cached_property
    def _bytes(self) -> bytes:
        return self.text.encode()

    def start(self, node: cst.CSTNode) -> int:
        """Return the offset of the first byte of a node."""
        return self._spans[node].start

    def end(self, node: cst.CSTNode) -> int:
        """Return the offset after the last byte of a node."""
        return self._spans[node].start + self._spans[node].length

    def whole(self, node: cst.BaseExpression) -> tuple[int, int]:
        """Return the start and end of an expression with its parentheses, which its own span excludes."""
        return (
            self.start(node.lpar[0]) if node.lpar else self.start(node),
            self.end(node.rpar[-1]) if node.rpar else self.end(node),
        )

    def slice(self, start: int, end: int) -> str:
        """Return the text between two offsets."""
        return self._bytes[start:end].decode()

    def text_of(self, node: cst.CSTNode) -> str:
        """Return the text of a node."""
        return self.slice(self.start(node), self.end(node))

    def line_start(self, offset: int) -> int:
        """Return the offset of the start of a line."""
        return self._bytes.rfind(b"\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Return the offset after a line, including its line end."""
        newline = self._bytes.find(b"\n", offset)
        return len(self._bytes) if newline < 0 else newline + 1

    def indent(self, offset: int) -> int:
        """Return the indentation of a line."""
        line = self.slice(self.line_start(offset), self.line_end(offset))
        return len(line) - len(line.lstrip(" "))

    def replaced(self, start: int, end: int, new: str) -> "Source":
        """Return the source with other text between two offsets, using the file's own line ends."""
        new = new.replace("\n", "\r\n") if b"\r\n" in self._bytes else new
        return Source(self.path, self.slice(0, start) + new + self._bytes[end:].decode(), self.width)

    def inserted(self, offset: int, new: str) -> "Source":
        """Return the source with text inserted at an offset."""
        return self.replaced(offset, offset, new)

    def statements(self, kind: type[NodeT]) -> Iterator[NodeT]:
        """Yield the top-level statements of a kind, including small ones."""
        for line in self.module.body:
            yield from (statement for statement in small(line) if isinstance(statement, kind))

    def classes(self) -> Iterator[cst.ClassDef]:
        """Yield the top-level classes."""
        return self.statements(cst.ClassDef)

    def find_class(self, name: str) -> cst.ClassDef | None:
        """Return the top-level class of a name."""
        return next((node for node in self.classes() if node.name.value == name), None)

    def subclasses(self, *bases: str) -> Iterator[cst.ClassDef]:
        """Yield the top-level classes that derive from a class whose name ends like one of `bases`."""
        for node in self.classes():
            if any(dotted(base.value).endswith(bases) for base in node.bases):
                yield node

    def assignment(self, name: str) -> Assignment | None:
        """Return the top-level statement that gives a name its value: `X = ...`, `X: Kind = ...` or `type X = ...`."""
        for plain in self.statements(cst.Assign):
            if dotted(plain.targets[0].target) == name:
                return plain
        for annotated in self.statements(cst.AnnAssign):
            if dotted(annotated.target) == name:
                return annotated
        return next((alias for alias in self.statements(cst.TypeAlias) if alias.name.value == name), None)

    def names(self) -> set[str]:
        """Return the names that top-level classes, functions and assignments bind."""
        targets = [each.target for assignment in self.statements(cst.Assign) for each in assignment.targets]
        targets += [assignment.target for assignment in self.statements(cst.AnnAssign)]
        return {
            *(definition.name.value for definition in self.statements(cst.ClassDef)),
            *(definition.name.value for definition in self.statements(cst.FunctionDef)),
            *(target.value for target in targets if isinstance(target, cst.Name)),
        }

    def cannot_edit(self, what: str, by_hand: str) -> CannotEditError:
        """Return the error for a form of code that cannot be edited."""
        return CannotEditError(self.path, what, by_hand)


def small(statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield the small statements of a line, or a compound statement itself."""
    if isinstance(statement, cst.SimpleStatementLine):
        yield from statement.body
    else:
        yield statement


def dotted(node: Any) -> str:
    """Return `a.b.c` for names and attributes; empty for other nodes."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        return f"{dotted(node.value)}.{node.attr.value}"
    return ""


def with_item(source: Source, node: Literal, item: str) -> Source:
    """Return the source with `item` at the end of a list, tuple, set or dict; comments stay where they are.

    A literal of several lines gets another line. A literal of one line stays on one line if it fits.
    """
    start, end = source.whole(node)
    if not source.slice(source.line_start(end - 1), end - 1).strip():
        return _with_line(source, node, end, item)
    items = [*(_item_text(source, element) for element in node.elements), item]
    opening, closing = source.slice(start, start + 1), source.slice(end - 1, end)
    comma = "," if isinstance(node, cst.Tuple) and len(items) == 1 else ""
    line = f"{opening}{', '.join(items)}{comma}{closing}"
    rest = source.slice(source.line_start(start), start), source.slice(end, source.line_end(end)).rstrip()
    if not isinstance(node, cst.Dict) and len(rest[0]) + len(line) + len(rest[1]) <= source.width:
        return source.replaced(start, end, line)
    return source.replaced(start, end, exploded(opening, items, closing, " " * source.indent(start)))


def _with_line(source: Source, node: Literal, end: int, item: str) -> Source:
    """Return the source with the item on its own line before the closing bracket."""
    if node.elements and isinstance(node.elements[-1].comma, cst.MaybeSentinel):
        last = source.end(node.elements[-1].value)
        source, end = source.inserted(last, ","), end + 1
    pad = " " * (source.indent(end - 1) + 4)
    return source.inserted(source.line_start(end - 1), "".join(f"{pad}{line}\n" for line in f"{item},".split("\n")))


def _item_text(source: Source, element: cst.BaseElement | cst.BaseDictElement) -> str:
    value = source.slice(*source.whole(element.value))
    if isinstance(element, cst.DictElement):
        return f"{source.text_of(element.key)}: {value}"
    stars = {cst.StarredElement: "*", cst.StarredDictElement: "**"}
    return f"{stars.get(type(element), '')}{value}"
