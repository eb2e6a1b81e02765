"""Adds imports in the order of ruff and isort."""

import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import libcst as cst

from domainstream.tools.scaffold.source import Source, dotted, small
from domainstream.tools.scaffold.style import exploded, import_from, member_key, natural

_FUTURE, _STANDARD, _THIRD, _FIRST = range(4)


class _Import(NamedTuple):
    """A top-level import; imports without a blank line between them form a block."""

    node: cst.SimpleStatementLine
    statement: cst.Import | cst.ImportFrom
    start: int
    end: int
    block: int

    @property
    def module(self) -> str:
        """The imported module, or the one that names are imported from."""
        if isinstance(self.statement, cst.Import):
            return dotted(self.statement.names[0].name)
        return "." * len(self.statement.relative) + dotted(self.statement.module)

    @property
    def key(self) -> tuple[bool, Any, Any]:
        """The sort key within a block."""
        return _key(isinstance(self.statement, cst.ImportFrom), self.module)

    @property
    def aliases(self) -> Sequence[cst.ImportAlias]:
        """The nodes of the imported names; empty for a star import and for modules."""
        listed = self.statement.names if isinstance(self.statement, cst.ImportFrom) else ()
        return () if isinstance(listed, cst.ImportStar) else listed

    @property
    def names(self) -> list[str]:
        """The imported names, as they are written."""
        return [_as_written(alias) for alias in self.aliases]


def with_import(source: Source, wanted: str, first_party: Collection[str]) -> Source:
    """Return the source with an import, given as `module:name`, `module:name as alias` or `module as alias`.

    `first_party` are the packages of the project, whose imports form their own paragraph.
    """
    module, colon, name = wanted.partition(":")
    present = list(_imports(source))
    if not colon:
        modules = [each.statement.names[0] for each in present if isinstance(each.statement, cst.Import)]
        if any(_as_written(alias) == wanted for alias in modules):
            return source
        return _with_statement(source, present, module.partition(" ")[0], f"import {wanted}", first_party)
    same = [each for each in present if each.module == module and isinstance(each.statement, cst.ImportFrom)]
    if any(name in imported.names for imported in same):
        return source
    open_for_more = [imported for imported in same if not any(" as " in each for each in imported.names)]
    if open_for_more and " as " not in name:
        return _with_name(source, open_for_more[0], name)
    return _with_statement(source, present, module, import_from(module, [name], source.width), first_party)


def without_import(source: Source, module: str, name: str) -> Source:
    """Return the source without `name` in its import from `module`; a line without names is removed."""
    for imported in _imports(source):
        if imported.module == module and name in imported.names:
            left = [each for each in imported.names if each != name]
            if not left:
                return source.replaced(imported.start, imported.end, "")
            return source.replaced(imported.start, source.end(imported.node), import_from(module, left, source.width))
    return source


def import_paragraphs(wanted: Collection[str], first_party: Collection[str], width: int) -> str:
    """Return imports, given as `module:name` or `module as alias`, sorted into their paragraphs."""
    names: dict[str, list[str]] = {}
    for item in wanted:
        module, _, name = item.partition(":")
        names.setdefault(module, []).extend([name] if name else [])
    lines = []
    for module, some in names.items():
        text = import_from(module, some, width) if some else f"import {module}"
        lines.append((_section(module.partition(" ")[0], first_party), _key(bool(some), module), text))
    paragraphs = groupby(sorted(lines), key=itemgetter(0))
    return "\n\n".join("\n".join(text for _, _, text in paragraph) for _, paragraph in paragraphs)


def imported_from(source: Source, name: str) -> str | None:
    """Return the module from which the top level imports a name."""
    for imported in _imports(source):
        if any(each.rpartition(" as ")[2] == name for each in imported.names):
            return imported.module
    return None


def local_name(source: Source, module: str, name: str) -> str | None:
    """Return the local name under which the top level imports `name` of `module`; None where it does not."""
    for imported in _imports(source):
        if imported.module == module:
            for each in imported.names:
                if each.partition(" as ")[0] == name:
                    return each.rpartition(" as ")[2]
    return None


def _imports(source: Source) -> Iterator[_Import]:
    block, before = 0, 0
    for node in source.module.body:
        for statement in small(node):
            if isinstance(node, cst.SimpleStatementLine) and isinstance(statement, cst.Import | cst.ImportFrom):
                start, end = source.start(node), source.line_end(source.end(node))
                if any(not line.strip() for line in source.slice(before, start).splitlines()):
                    block += 1
                before = end
                yield _Import(node, statement, start, end, block)


def _as_written(imported: cst.ImportAlias) -> str:
    alias = dotted(imported.asname.name) if imported.asname else ""
    return f"{dotted(imported.name)} as {alias}" if alias else dotted(imported.name)


def _with_name(source: Source, imported: _Import, name: str) -> Source:
    text = source.slice(imported.start, source.end(imported.node))
    if "\n" not in text:
        new = import_from(imported.module, [*imported.names, name], source.width)
        return source.replaced(imported.start, source.end(imported.node), new)
    if "#" not in text:
        names = sorted([*imported.names, name], key=member_key)
        new = exploded(f"from {imported.module} import (", names, ")", "")
        return source.replaced(imported.start, source.end(imported.node), new)
    # One name per line, with comments that stay at their names.
    later = (alias for alias in imported.aliases if member_key(_as_written(alias)) > member_key(name))
    following = next(later, None)
    place = source.end(imported.node) if following is None else source.start(following)
    return source.inserted(source.line_start(place), f"    {name},\n")


def _with_statement(
    source: Source, present: list[_Import], module: str, text: str, first_party: Collection[str]
) -> Source:
    key = _key(text.startswith("from "), module)
    block = _block_for(present, module, first_party)
    if block:
        following = next((imported for imported in block if imported.key > key), None)
        place = following.start if following else block[-1].end
        return source.inserted(place, f"{text}\n")
    section = _section(module, first_party)
    earlier = [imported for imported in present if _section(imported.module, first_party) <= section]
    if earlier:
        return source.inserted(earlier[-1].end, f"\n{text}\n")
    if present:
        return source.inserted(present[0].start, f"{text}\n\n")
    body = source.module.body
    if source.module.get_docstring() is not None:
        return source.inserted(source.line_end(source.end(body[0])), f"\n{text}\n")
    return source.inserted(source.start(body[0]) if body else 0, f"{text}\n\n\n")


def _block_for(present: list[_Import], module: str, first_party: Collection[str]) -> list[_Import]:
    """Return the block that a module belongs to: that of its own package, else that of the same section."""
    blocks = [list(some) for _, some in groupby(present, key=lambda imported: imported.block)]
    root, section = module.partition(".")[0], _section(module, first_party)
    for block in blocks:
        if any(imported.module.partition(".")[0] == root for imported in block):
            return block
    return next(
        (some for some in blocks if any(_section(imported.module, first_party) == section for imported in some)), []
    )


def _section(module: str, first_party: Collection[str]) -> int:
    root = module.partition(".")[0]
    if root == "__future__":
        return _FUTURE
    if root in sys.stdlib_module_names:
        return _STANDARD
    return _FIRST if root in first_party or not root else _THIRD


def _key(is_from: bool, module: str) -> tuple[bool, Any, Any]:
    return is_from, natural(module.lower()), natural(module)
