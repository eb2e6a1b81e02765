"""A Python file that is edited in place: its text, its syntax tree, and the position of each node in the text.

Edits splice text at the positions of nodes, so everything else stays the same to the byte, including comments and
blank lines. New lines get the line ends and the indentation of the lines around them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper

from domainstream.tools.scaffold.compiling import why_not_python
from domainstream.tools.scaffold.errors import CannotEditError
from domainstream.tools.scaffold.style import STEP, exploded

Literal = cst.List | cst.Tuple | cst.Set | cst.Dict
Assignment = cst.Assign | cst.AnnAssign | cst.TypeAlias
NodeT = TypeVar("NodeT", bound=cst.CSTNode)

_PLAINER: Final = "write it without a form feed or a backslash before its code"
"""What to do about a line that Python can read and libcst cannot."""


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
            why = why_not_python(self.path, self.text)
            if why:
                raise CannotEditError(self.path, why.reason, "fix it", why.line) from None
            raise CannotEditError(
                self.path, "this line has a form that cannot be edited", _PLAINER, error.raw_line
            ) from None

    @cached_property
    def _spans(self) -> Mapping[cst.CSTNode, CodeSpan]:
        return self._wrapper.resolve(ByteSpanPositionProvider)

    @cached_property
    def _bytes(self) -> bytes:
        return self.text.encode()

    @cached_property
    def _offsets(self) -> Sequence[int]:
        """The offset in the text of each byte that libcst counts: it drops form feeds and backslashes before code."""
        counted = self.module.code.encode()
        if counted == self._bytes:
            return range(len(counted) + 1)
        offsets, at = [], 0
        for byte in counted:
            at = self._bytes.find(byte, at)
            if at < 0:
                raise self.cannot_edit("its form cannot be edited", _PLAINER)
            offsets.append(at)
            at += 1
        return [*offsets, len(self._bytes)]

    def start(self, node: cst.CSTNode) -> int:
        """Return the offset of the first byte of a node."""
        return self._offsets[self._spans[node].start]

    def end(self, node: cst.CSTNode) -> int:
        """Return the offset after the last byte of a node."""
        span = self._spans[node]
        return self._offsets[span.start + span.length - 1] + 1 if span.length else self._offsets[span.start]

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
        return max(self._bytes.rfind(b"\n", 0, offset), self._bytes.rfind(b"\r", 0, offset)) + 1

    def line_end(self, offset: int) -> int:
        """Return the offset after a line, including its line end."""
        ending = re.compile(rb"\r\n|\n|\r").search(self._bytes, offset)
        return ending.end() if ending else len(self._bytes)

    def line_of(self, node: cst.CSTNode) -> int:
        """Return the number of the line where a node begins, from 1."""
        return len(re.findall(rb"\r\n|\n|\r", self._bytes[: self.start(node)])) + 1

    def pad(self, offset: int) -> str:
        """Return the white space at the start of a line."""
        line = self.slice(self.line_start(offset), self.line_end(offset))
        return line[: len(line) - len(line.lstrip(" \t\f"))].rpartition("\f")[2]

    def room(self, pad: str) -> int:
        """Return how many characters fit into a line after its indentation."""
        return self.width - len(pad.expandtabs(len(STEP)))

    def indented(self, text: str, pad: str) -> str:
        """Return generated text with `pad` before each line, and its own steps as this file indents."""
        unit = self.module.default_indent
        lines = []
        for line in text.split("\n"):
            bare = line.lstrip(" ")
            lines.append(f"{pad}{unit * ((len(line) - len(bare)) // len(STEP))}{bare}" if bare else "")
        return "\n".join(lines)

    def replaced(self, start: int, end: int, new: str) -> "Source":
        """Return the source with other text between two offsets, using the line ends of the lines around it."""
        ends = re.findall(r"\r\n|\n|\r", self.slice(0, self.line_end(start)))
        new = new.replace("\n", ends[-1]) if ends else new
        return Source(self.path, self.slice(0, start) + new + self._bytes[end:].decode(), self.width)

    def inserted(self, offset: int, new: str) -> "Source":
        """Return the source with text inserted at an offset."""
        return self.replaced(offset, offset, new)

    def inserted_lines(self, offset: int, new: str) -> "Source":
        """Return the source with lines inserted at the start of a line, or after a last line without a line end."""
        ended = self._bytes[offset - 1 : offset] in {b"", b"\n", b"\r"}
        return self.inserted(offset, new if ended else f"\n{new}")

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

    def cannot_edit(self, what: str, by_hand: str, node: cst.CSTNode | None = None) -> CannotEditError:
        """Return the error for a form of code that cannot be edited; `node` is where it is."""
        return CannotEditError(self.path, what, by_hand, None if node is None else self.line_of(node))


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
    if "\n" in source.slice(start, end).replace("\r", "\n"):
        return with_last(source, node.elements, end, item)
    items = [*(_item_text(source, element) for element in node.elements), item]
    opening, closing = source.slice(start, start + 1), source.slice(end - 1, end)
    comma = "," if isinstance(node, cst.Tuple) and len(items) == 1 else ""
    line = f"{opening}{', '.join(items)}{comma}{closing}"
    rest = source.slice(source.line_start(start), start), source.slice(end, source.line_end(end)).rstrip()
    if not isinstance(node, cst.Dict) and len(rest[0].expandtabs(len(STEP))) + len(line) + len(rest[1]) <= source.width:
        return source.replaced(start, end, line)
    pad = source.pad(start)
    return source.replaced(start, end, source.indented(exploded(opening, items, closing, ""), pad)[len(pad) :])


def with_last(source: Source, elements: Sequence[Any], end: int, item: str) -> Source:
    """Return the source with `item` after the last of the elements between brackets, of which `end` is the end.

    An item whose bracket is on a line of its own gets a line of its own.
    """
    last = elements[-1] if elements else None
    after = 0 if last is None else source.whole(_value_of(last))[1]
    has_comma = last is not None and isinstance(last.comma, cst.Comma)
    if source.slice(source.line_start(end - 1), end - 1).strip():
        if last is None:
            return source.inserted(end - 1, item)
        return source.inserted(
            source.end(last.comma) if has_comma else after, f" {item}," if has_comma else f", {item}"
        )
    pad = source.pad(end - 1)
    if last is not None and not has_comma:
        source, end = source.inserted(after, ","), end + 1
    lines = "\n".join(f"{STEP}{line}" for line in f"{item},".split("\n"))
    return source.inserted_lines(source.line_start(end - 1), f"{source.indented(lines, pad)}\n")


def _value_of(element: Any) -> Any:
    inner: Any = element.slice if isinstance(element, cst.SubscriptElement) else element
    return inner.value


def _item_text(source: Source, element: cst.BaseElement | cst.BaseDictElement) -> str:
    value = source.slice(*source.whole(element.value))
    if isinstance(element, cst.DictElement):
        return f"{source.slice(*source.whole(element.key))}: {value}"
    stars = {cst.StarredElement: "*", cst.StarredDictElement: "**"}
    return f"{stars.get(type(element), '')}{value}"
