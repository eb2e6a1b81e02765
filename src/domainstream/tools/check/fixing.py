"""Fixes what one more line fixes: a missing `@final`, a missing `[]` subscription.

It only inserts text: comments, order and line ends of a file stay as they are.
"""

import ast
import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from domainstream.tools.check.engine import findings_of
from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.subscriptions import missing_names

Import = ast.Import | ast.ImportFrom
_LINE = "from typing import final"


class Insertion(NamedTuple):
    """Text to be added."""

    offset: int
    """Before which byte."""

    text: str
    """What."""


class Text:
    """A file's bytes, by line."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The bytes."""
        # Trees count from behind the mark.
        self._starts = [len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0]
        self.line_end = "\r\n" if b"\r\n" in raw else "\n"
        """How its lines end."""
        self._lines = raw.splitlines(keepends=True)
        self._starts += accumulate(map(len, self._lines))

    @property
    def is_utf8(self) -> bool:
        """Whether positions in a tree, which counts bytes of UTF-8, are positions in this file."""
        try:
            self.raw.decode()
        except UnicodeDecodeError:
            return False
        return True

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line, from 1, and a column of bytes, from 0."""
        return self._starts[line - 1] + column

    def indentation(self, line: int) -> str:
        """Return the white space that a line begins with."""
        text = self._lines[line - 1].decode("utf-8", "replace")
        return text[: len(text) - len(text.lstrip())]

    def with_insertions(self, insertions: Iterable[Insertion]) -> bytes:
        """Return the bytes with everything added; insertions at one position keep their order."""
        result = self.raw
        for offset, text in reversed(sorted(insertions, key=lambda one: one.offset)):  # noqa: C413 - keeps equals in order
            result = result[:offset] + text.encode() + result[offset:]
        return result


class _Task(NamedTuple):
    code: str
    location: Location


def fix(root: Path, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[str]:
    """Fix the system at `root` and return the files that changed; what a comment ignores stays.

    `select` and `ignore` are prefixes of codes. Raises `ConfigurationError` as `check_project` does.
    """
    project = read_project(root)
    found = [finding for finding in findings_of(project) if finding.code in {"DS202", "DS401"}]
    tasks = dict.fromkeys(
        _Task(one.code, one.location)
        for one in found
        if one.code.startswith(select or "") and not one.code.startswith(ignore)
    )
    paths = dict.fromkeys(task.location.path for task in tasks)
    return [path for path in paths if _fix_file(project, path, [task for task in tasks if task.location.path == path])]


def _fix_file(project: Project, path: str, tasks: Sequence[_Task]) -> bool:
    """Add to one file what it lacks, and return whether anything was added."""
    file = project.root / path
    text = Text(file.read_bytes())
    if not text.is_utf8:
        return False
    tree = ast.parse(text.raw)
    insertions = [one for task in tasks for one in _insertions(project, text, tree, task)]
    if any(task.code == "DS202" for task in tasks):
        insertions += _final_import(text, tree)
    file.write_bytes(text.with_insertions(insertions))
    return bool(insertions)


def _insertions(project: Project, text: Text, tree: ast.Module, task: _Task) -> Iterator[Insertion]:
    if task.code == "DS202":
        start = text.offset(task.location.line, 0)
        yield Insertion(start, f"{text.indentation(task.location.line)}@final{text.line_end}")
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and node.lineno == task.location.line:
            yield from _entries(text, node, missing_names(project))
            return


def _entries(text: Text, table: ast.Dict, names: Sequence[str]) -> Iterator[Insertion]:
    """Add an entry for each name to the end of the table, in the style of the table."""
    close = text.offset(table.end_lineno or 1, (table.end_col_offset or 1) - 1)
    entries = [f"{_prefixed(table, name)}: []" for name in names]
    if not table.values or table.end_lineno == table.lineno:
        yield Insertion(close, (", " if table.values else "") + ", ".join(entries))
        return
    last = table.values[-1]
    end = text.offset(last.end_lineno or 1, last.end_col_offset or 0)
    if not _has_comma(text.raw[end:close]):
        yield Insertion(end, ",")
    first = table.keys[0] or table.values[0]
    indentation = text.indentation(first.lineno)
    lines = "".join(f"{indentation}{entry},{text.line_end}" for entry in entries)
    yield Insertion(text.offset(table.end_lineno or 1, 0), lines)


def _has_comma(rest: bytes) -> bool:
    return any(b"," in line.partition(b"#")[0] for line in rest.splitlines())


def _prefixed(table: ast.Dict, name: str) -> str:
    """Return a channel's name as this file would write it: with the enum under the name that it is imported by."""
    enum = next((ast.unparse(key.value) for key in table.keys if isinstance(key, ast.Attribute)), None)
    member = name.rpartition(".")[2]
    return name if enum is None else f"{enum}.{member}"


def _final_import(text: Text, tree: ast.Module) -> Iterator[Insertion]:
    """Yield what has to be added to a file so that it knows `final`; nothing where it does."""
    imports = [statement for statement in tree.body if isinstance(statement, Import)]
    if any(alias.name == "final" for one in imports for alias in one.names):
        return
    typing = next((one for one in imports if isinstance(one, ast.ImportFrom) and one.module == "typing"), None)
    if typing is None:
        yield _new_line(text, tree, imports)
    else:
        yield _new_name(text, typing)


def _new_name(text: Text, typing: ast.ImportFrom) -> Insertion:
    """Add the name to `from typing import ...`, before the first name that sorts after it."""
    after = next((alias for alias in typing.names if _sorts_after(alias.name)), None)
    if after is None:
        last = typing.names[-1]
        own_line = last.lineno != typing.lineno
        joint = f",{text.line_end}{text.indentation(last.lineno)}" if own_line else ", "
        return Insertion(text.offset(last.end_lineno or 1, last.end_col_offset or 0), f"{joint}final")
    own_line = after.lineno != typing.lineno
    joint = f",{text.line_end}{text.indentation(after.lineno)}" if own_line else ", "
    return Insertion(text.offset(after.lineno, after.col_offset), f"final{joint}")


def _sorts_after(name: str) -> bool:
    # isort puts CONSTANTS and Classes before functions.
    return name[:1].islower() and name > "final"


def _new_line(text: Text, tree: ast.Module, imports: list[Import]) -> Insertion:
    standard = [one for one in imports if _is_standard(one)]
    before = [one for one in standard if _sort_key(one) < (1, "typing")]
    if before:
        return Insertion(text.offset((before[-1].end_lineno or 1) + 1, 0), f"{_LINE}{text.line_end}")
    if standard:
        return Insertion(text.offset(standard[0].lineno, 0), f"{_LINE}{text.line_end}")
    first = next((one for one in imports if not _is_future(one)), None) or _first_code(tree)
    start = text.offset(first.lineno, 0)
    return Insertion(start, f"{_LINE}{text.line_end}{text.line_end}")


def _first_code(tree: ast.Module) -> ast.stmt:
    docstring = ast.get_docstring(tree) is not None
    rest = [one for one in tree.body[1 if docstring else 0 :] if not isinstance(one, ast.ImportFrom)]
    return rest[0]


def _sort_key(statement: Import) -> tuple[int, str]:
    if isinstance(statement, ast.Import):
        return 0, statement.names[0].name
    return 1, statement.module or ""


def _is_standard(statement: Import) -> bool:
    name = statement.names[0].name if isinstance(statement, ast.Import) else statement.module or ""
    relative = isinstance(statement, ast.ImportFrom) and statement.level > 0
    return not relative and name.partition(".")[0] in sys.stdlib_module_names and not _is_future(statement)


def _is_future(statement: Import) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
