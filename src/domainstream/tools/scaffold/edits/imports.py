"""Adds imports in the order of ruff and isort."""

import sys
from collections.abc import Collection, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import libcst as cst

from domainstream.tools.scaffold.python_text import exploded, import_from, member_key, natural
from domainstream.tools.scaffold.source import Source, dotted, small

_FUTURE, _STANDARD, _THIRD, _FIRST = range(4)


class _Statement(NamedTuple):
    """A top-level import; the imports of imported paragraph form a block."""

    node: cst.SimpleStatementLine
    statement: cst.Import | cst.ImportFrom
    module: str
    start: int
    end: int
    block: int

    @property
    def key(self) -> tuple[bool, Any, Any]:
        """The sort key within a block."""
        return _key(isinstance(self.statement, cst.ImportFrom), self.module)

    @property
    def names(self) -> list[str]:
        """The imported names; empty for a star import and for modules."""
        listed = self.statement.names if isinstance(self.statement, cst.ImportFrom) else ()
        return [] if isinstance(listed, cst.ImportStar) else [_as_written(alias) for alias in listed]


def with_import(source: Source, wanted: str, first_party: Collection[str]) -> Source:
    """Return the source with an import, given as `module:name`, `module:name as alias` or `module as alias`.

    `first_party` are the packages of the project, whose imports form their own paragraph.
    """
    module, colon, name = wanted.partition(":")
    present = list(_imports(source))
    if not colon:
        module = module.partition(" ")[0]
        there = any(_plain(imported) == wanted for imported in present)
        return source if there else _with_statement(source, present, module, f"import {wanted}", first_party)
    same = [
        imported for imported in present if imported.module == module and isinstance(imported.statement, cst.ImportFrom)
    ]
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
    lines = [
        (_section(module.partition(" ")[0], first_party), _key(bool(some), module), _import_text(module, some, width))
        for module, some in names.items()
    ]
    paragraphs = groupby(sorted(lines), key=itemgetter(0))
    return "\n\n".join("\n".join(text for _, _, text in lines) for _, lines in paragraphs)


def _import_text(module: str, names: list[str], width: int) -> str:
    return import_from(module, names, width) if names else f"import {module}"


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


def _imports(source: Source) -> Iterator[_Statement]:
    block, before = 0, 0
    for node in source.module.body:
        for statement in small(node):
            if isinstance(node, cst.SimpleStatementLine) and isinstance(statement, cst.Import | cst.ImportFrom):
                start, end = source.start(node), source.line_end(source.end(node))
                if any(not line.strip() for line in source.slice(before, start).splitlines()):
                    block += 1
                before = end
                yield _Statement(node, statement, _module_of(statement), start, end, block)


def _module_of(statement: cst.Import | cst.ImportFrom) -> str:
    if isinstance(statement, cst.Import):
        return dotted(statement.names[0].name)
    return "." * len(statement.relative) + dotted(statement.module)


def _as_written(imported: cst.ImportAlias) -> str:
    alias = dotted(imported.asname.name) if imported.asname else ""
    return f"{dotted(imported.name)} as {alias}" if alias else dotted(imported.name)


def _plain(imported: _Statement) -> str:
    return _as_written(imported.statement.names[0]) if isinstance(imported.statement, cst.Import) else ""


def _with_name(source: Source, imported: _Statement, name: str) -> Source:
    text = source.slice(imported.start, source.end(imported.node))
    if "\n" not in text:
        new = import_from(imported.module, [*imported.names, name], source.width)
        return source.replaced(imported.start, source.end(imported.node), new)
    if "#" not in text:
        names = sorted([*imported.names, name], key=member_key)
        new = exploded(f"from {imported.module} import (", names, ")", "")
        return source.replaced(imported.start, source.end(imported.node), new)
    return source.inserted(_line_for(source, imported, name), f"    {name},\n")


def _line_for(source: Source, imported: _Statement, name: str) -> int:
    """Return where a name goes in an import of imported name per line."""
    listed = imported.statement.names if isinstance(imported.statement, cst.ImportFrom) else ()
    aliases = [] if isinstance(listed, cst.ImportStar) else list(listed)
    later = (each for each in aliases if member_key(_as_written(each)) > member_key(name))
    following = next(later, None)
    return source.line_start(source.end(imported.node) if following is None else source.start(following))


def _with_statement(
    source: Source, present: list[_Statement], module: str, text: str, first_party: Collection[str]
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
    return _with_first_import(source, text)


def _block_for(present: list[_Statement], module: str, first_party: Collection[str]) -> list[_Statement]:
    """Return the block that a module belongs to: that of its own package, else that of the same section."""
    blocks = [list(some) for _, some in groupby(present, key=lambda imported: imported.block)]
    root, section = module.partition(".")[0], _section(module, first_party)
    for block in blocks:
        if any(imported.module.partition(".")[0] == root for imported in block):
            return block
    return next(
        (some for some in blocks if any(_section(imported.module, first_party) == section for imported in some)), []
    )


def _with_first_import(source: Source, text: str) -> Source:
    body = source.module.body
    if source.module.get_docstring() is None:
        return source.inserted(source.start(body[0]) if body else 0, f"{text}\n\n\n")
    return source.inserted(source.line_end(source.end(body[0])), f"\n{text}\n")


def _section(module: str, first_party: Collection[str]) -> int:
    root = module.partition(".")[0]
    if root == "__future__":
        return _FUTURE
    if root in sys.stdlib_module_names:
        return _STANDARD
    return _FIRST if root in first_party or not root else _THIRD


def _key(is_from: bool, module: str) -> tuple[bool, Any, Any]:
    return is_from, natural(module.lower()), natural(module)
