"""Adds imports in the order of ruff and isort."""

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import libcst as cst

from domainstream.tools.scaffold.layout import module_of
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

    def origin(self, path: str) -> str:
        """Return the imported module by its full name, also for a relative import in the file at `path`."""
        module = self.module.lstrip(".")
        parents = module_of(path).split(".")[: len(module) - len(self.module)] if module != self.module else []
        return ".".join([*parents, module] if module else parents)

    @property
    def is_open(self) -> bool:
        """Whether names may be added: a star import has no list of names, and one with an alias stays as it is."""
        return bool(self.names) and not any(" as " in each for each in self.names)

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
    same = [each for each in present if _is_from(source, each, module)]
    if any(name in imported.names for imported in same):
        return source
    open_for_more = [imported for imported in same if imported.is_open]
    if open_for_more and " as " not in name:
        return _with_name(source, open_for_more[0], name)
    return _with_statement(source, present, module, import_from(module, [name], source.width), first_party)


def without_import(source: Source, module: str, name: str) -> Source:
    """Return the source without `name` in its import from `module`; a line without names is removed.

    An import stays as it is where the name is used, or where other code or a comment is within its lines.
    """
    for imported in _imports(source):
        if imported.module == module and name in imported.names:
            start, end = source.start(imported.statement), source.end(imported.statement)
            elsewhere = source.slice(0, start) + source.slice(end, source.line_end(len(source.text.encode())))
            left = [each for each in imported.names if each != name]
            if re.search(rf"\b{name}\b", elsewhere) or "#" in source.slice(start, end) or len(imported.node.body) > 1:
                return source
            if not left:
                return source.replaced(imported.start, imported.end, "")
            return source.replaced(start, end, import_from(module, left, source.width))
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
    """Return the module from which the top level imports a name; the module itself for `import module as name`."""
    for imported in _imports(source):
        if any(each.rpartition(" as ")[2] == name for each in imported.names):
            return imported.origin(source.path)
        for alias in imported.statement.names if isinstance(imported.statement, cst.Import) else ():
            if (_as_written(alias).rpartition(" as ")[2]).partition(".")[0] == name:
                return dotted(alias.name)
    return None


def local_name(source: Source, module: str, name: str) -> str | None:
    """Return the local name under which the top level imports `name` of `module`; None where it does not."""
    for imported in _imports(source):
        if _is_from(source, imported, module):
            for each in imported.names:
                if each.partition(" as ")[0] == name:
                    return each.rpartition(" as ")[2]
    return None


def _is_from(source: Source, imported: _Import, module: str) -> bool:
    return isinstance(imported.statement, cst.ImportFrom) and imported.origin(source.path) == module


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
    start, end = source.start(imported.statement), source.end(imported.statement)
    text = source.slice(start, end)
    names = sorted([*imported.names, name], key=member_key)
    if len(text.splitlines()) == 1:
        return source.replaced(start, end, import_from(imported.module, names, source.width))
    if "#" not in text:
        new = exploded(f"from {imported.module} import (", names, ")", "")
        return source.replaced(start, end, source.indented(new, ""))
    # Comments stay at their names.
    last = imported.aliases[-1]
    own_lines = all(source.slice(source.line_start(at), at).isspace() for at in map(source.start, imported.aliases))
    if isinstance(last.comma, cst.MaybeSentinel) or not own_lines:
        return source.inserted(source.end(last), f", {name}")
    later = (alias for alias in imported.aliases if member_key(_as_written(alias)) > member_key(name))
    following = next(later, None)
    place = source.line_end(source.end(last)) if following is None else source.line_start(source.start(following))
    return source.inserted_lines(place, f"{source.pad(source.start(last))}{name},\n")


def _with_statement(
    source: Source, present: list[_Import], module: str, text: str, first_party: Collection[str]
) -> Source:
    key = _key(text.startswith("from "), module)
    block = _block_for(present, module, first_party)
    if block:
        following = next((imported for imported in block if imported.key > key), None)
        place = following.start if following else block[-1].end
        return source.inserted_lines(place, f"{text}\n")
    section = _section(module, first_party)
    earlier = [imported for imported in present if _section(imported.module, first_party) <= section]
    if earlier:
        return source.inserted_lines(earlier[-1].end, f"\n{text}\n")
    if present:
        return source.inserted_lines(present[0].start, f"{text}\n\n")
    body = source.module.body
    if source.module.get_docstring() is not None:
        return source.inserted_lines(source.line_end(source.end(body[0])), f"\n{text}\n")
    return source.inserted_lines(
        source.line_start(source.start(body[0])) if body else len(source.text.encode()), f"{text}\n\n\n"
    )


def _block_for(present: list[_Import], module: str, first_party: Collection[str]) -> list[_Import]:
    """Return the block that a module belongs to: that of its own package, else that of the same section.

    Imports from `__future__` are in no block, because nothing may be before them.
    """
    present = [imported for imported in present if _section(imported.module, first_party) != _FUTURE]
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
