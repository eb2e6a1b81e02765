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
    """A top-level import; the imports of one paragraph form a block."""

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
        return [] if isinstance(listed, cst.ImportStar) else [_as_typed(alias) for alias in listed]


def with_import(source: Source, wanted: str, first_party: Collection[str]) -> Source:
    """Return the source with an import, given as `module:name`, `module:name as alias` or `module as alias`.

    `first_party` are the packages of the project, whose imports form their own paragraph.
    """
    module, colon, name = wanted.partition(":")
    found = list(_imports(source))
    if not colon:
        module = module.partition(" ")[0]
        there = any(_plain(one) == wanted for one in found)
        return source if there else _with_statement(source, found, module, f"import {wanted}", first_party)
    same = [one for one in found if one.module == module and isinstance(one.statement, cst.ImportFrom)]
    if any(name in one.names for one in same):
        return source
    open_for_more = [one for one in same if not any(" as " in each for each in one.names)]
    if open_for_more and " as " not in name:
        return _with_name(source, open_for_more[0], name)
    return _with_statement(source, found, module, import_from(module, [name], source.width), first_party)


def without_import(source: Source, module: str, name: str) -> Source:
    """Return the source without `name` in its import from `module`; a line without names is removed."""
    for one in _imports(source):
        if one.module == module and name in one.names:
            left = [each for each in one.names if each != name]
            if not left:
                return source.replaced(one.start, one.end, "")
            return source.replaced(one.start, source.end(one.node), import_from(module, left, source.width))
    return source


def import_paragraphs(wanted: Collection[str], first_party: Collection[str], width: int) -> str:
    """Return imports, given as `module:name` or `module as alias`, sorted into their paragraphs."""
    names: dict[str, list[str]] = {}
    for one in wanted:
        module, _, name = one.partition(":")
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
    for one in _imports(source):
        if any(each.rpartition(" as ")[2] == name for each in one.names):
            return one.module
    return None


def local_name(source: Source, module: str, name: str) -> str | None:
    """Return the local name under which the top level imports `name` of `module`; None where it does not."""
    for one in _imports(source):
        if one.module == module:
            for each in one.names:
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


def _as_typed(one: cst.ImportAlias) -> str:
    alias = dotted(one.asname.name) if one.asname else ""
    return f"{dotted(one.name)} as {alias}" if alias else dotted(one.name)


def _plain(one: _Statement) -> str:
    return _as_typed(one.statement.names[0]) if isinstance(one.statement, cst.Import) else ""


def _with_name(source: Source, one: _Statement, name: str) -> Source:
    text = source.slice(one.start, source.end(one.node))
    if "\n" not in text:
        new = import_from(one.module, [*one.names, name], source.width)
        return source.replaced(one.start, source.end(one.node), new)
    if "#" not in text:
        names = sorted([*one.names, name], key=member_key)
        new = exploded(f"from {one.module} import (", names, ")", "")
        return source.replaced(one.start, source.end(one.node), new)
    return source.inserted(_line_for(source, one, name), f"    {name},\n")


def _line_for(source: Source, one: _Statement, name: str) -> int:
    """Return where a name goes in an import of one name per line."""
    listed = one.statement.names if isinstance(one.statement, cst.ImportFrom) else ()
    aliases = [] if isinstance(listed, cst.ImportStar) else list(listed)
    later = (each for each in aliases if member_key(_as_typed(each)) > member_key(name))
    following = next(later, None)
    return source.line_start(source.end(one.node) if following is None else source.start(following))


def _with_statement(
    source: Source, found: list[_Statement], module: str, text: str, first_party: Collection[str]
) -> Source:
    key = _key(text.startswith("from "), module)
    block = _block_for(found, module, first_party)
    if block:
        following = next((one for one in block if one.key > key), None)
        place = following.start if following else block[-1].end
        return source.inserted(place, f"{text}\n")
    section = _section(module, first_party)
    earlier = [one for one in found if _section(one.module, first_party) <= section]
    if earlier:
        return source.inserted(earlier[-1].end, f"\n{text}\n")
    if found:
        return source.inserted(found[0].start, f"{text}\n\n")
    return _with_first_import(source, text)


def _block_for(found: list[_Statement], module: str, first_party: Collection[str]) -> list[_Statement]:
    """Return the block that a module belongs to: that of its own package, else one of the same section."""
    blocks = [list(some) for _, some in groupby(found, key=lambda one: one.block)]
    root, section = module.partition(".")[0], _section(module, first_party)
    for block in blocks:
        if any(one.module.partition(".")[0] == root for one in block):
            return block
    return next((some for some in blocks if any(_section(one.module, first_party) == section for one in some)), [])


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
