"""A file of Python that is edited in place: its text, its tree, and where in the text each node stands.

Edits splice text at the places of nodes, so all that they do not touch stays as it is to the byte, comments and blank
lines included.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper

from domainstream.tools.scaffold.errors import CannotEditError

NodeT = TypeVar("NodeT", bound=cst.CSTNode)


class Source:
    """One file at one moment; every edit makes another."""

    def __init__(self, path: str, text: str, width: int) -> None:
        self.path = path
        """Where it is, as messages name it."""
        self.text = text
        """Its code."""
        self.width = width
        """How long a line may be."""

    @cached_property
    def module(self) -> cst.Module:
        """The tree; raises `CannotEditError` when it is no Python."""
        return self._wrapper.module

    @cached_property
    def _wrapper(self) -> MetadataWrapper:
        try:
            return MetadataWrapper(cst.parse_module(self.text), unsafe_skip_copy=True)
        except cst.ParserSyntaxError as error:
            raise CannotEditError(self.path, f"line {error.raw_line} is no Python", "mend it") from None

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
        """Return where an expression begins and ends with its parentheses, which its own span leaves out."""
        return (
            self.start(node.lpar[0]) if node.lpar else self.start(node),
            self.end(node.rpar[-1]) if node.rpar else self.end(node),
        )

    def slice(self, start: int, end: int) -> str:
        """Return the text between two offsets."""
        return self._bytes[start:end].decode()

    def text_of(self, node: cst.CSTNode) -> str:
        """Return the text of a node, without what stands around it."""
        return self.slice(self.start(node), self.end(node))

    def line_start(self, offset: int) -> int:
        """Return the offset at which the line of an offset begins."""
        return self._bytes.rfind(b"\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Return the offset after the line of an offset, its end included."""
        found = self._bytes.find(b"\n", offset)
        return len(self._bytes) if found < 0 else found + 1

    def indent(self, offset: int) -> int:
        """Return how far the line of an offset is indented."""
        line = self.slice(self.line_start(offset), self.line_end(offset))
        return len(line) - len(line.lstrip(" "))

    def replaced(self, start: int, end: int, new: str) -> "Source":
        """Return the source with other text between two offsets, in the file's own kind of line ends."""
        new = new.replace("\n", "\r\n") if b"\r\n" in self._bytes else new
        return Source(self.path, self.slice(0, start) + new + self._bytes[end:].decode(), self.width)

    def inserted(self, offset: int, new: str) -> "Source":
        """Return the source with more text at an offset."""
        return self.replaced(offset, offset, new)

    def statements(self, kind: type[NodeT]) -> Iterator[NodeT]:
        """Yield the statements of a kind on the top level, also small ones."""
        for one in self.module.body:
            yield from (part for part in small(one) if isinstance(part, kind))

    def classes(self) -> Iterator[cst.ClassDef]:
        """Yield the classes on the top level."""
        return self.statements(cst.ClassDef)

    def names(self) -> set[str]:
        """Return the names that the top level binds, as far as one sees."""
        found = {one.name.value for one in self.statements(cst.ClassDef)}
        found |= {one.name.value for one in self.statements(cst.FunctionDef)}
        found |= {target for one in self.statements(cst.Assign) for target in map(_target, one.targets) if target}
        found |= {one.target.value for one in self.statements(cst.AnnAssign) if isinstance(one.target, cst.Name)}
        return found

    def cannot_edit(self, what: str, by_hand: str) -> CannotEditError:
        """Return the error that says what in this file has another shape than is known."""
        return CannotEditError(self.path, what, by_hand)


def small(statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a statement, or the small statements of a line."""
    if isinstance(statement, cst.SimpleStatementLine):
        yield from statement.body
    else:
        yield statement


def dotted(node: Any) -> str:
    """Return `a.b.c` of names and attributes; empty for all else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        return f"{dotted(node.value)}.{node.attr.value}"
    return ""


def _target(one: cst.AssignTarget) -> str:
    return one.target.value if isinstance(one.target, cst.Name) else ""
