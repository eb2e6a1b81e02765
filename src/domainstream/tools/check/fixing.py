"""Mends what can be mended by adding a line: a missing `@final`, a missing `[]` subscription.

Text is added and nothing else of a file changes: neither comments, nor order, nor line ends.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from domainstream.tools.check.engine import findings_of
from domainstream.tools.check.final_import import final_import
from domainstream.tools.check.findings import Place
from domainstream.tools.check.model.base import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.subscriptions import missing_names
from domainstream.tools.check.text_edits import Insertion, Text


class _Task(NamedTuple):
    code: str
    place: Place


def fix(root: Path, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[str]:
    """Mend the system at `root`, and return the files that were changed; what a comment ignores stays.

    `select` and `ignore` are beginnings of codes. Raises `ConfigurationError` as `check_project` does.
    """
    project = read_project(root)
    found = [finding for finding in findings_of(project) if finding.code in {"DS202", "DS401"}]
    tasks = dict.fromkeys(
        _Task(one.code, one.place)
        for one in found
        if one.code.startswith(select or "") and not one.code.startswith(ignore)
    )
    paths = dict.fromkeys(task.place.path for task in tasks)
    return [path for path in paths if _mend(project, path, [task for task in tasks if task.place.path == path])]


def _mend(project: Project, path: str, tasks: Sequence[_Task]) -> bool:
    """Add to one file what it lacks, and tell whether anything was added."""
    file = project.root / path
    text = Text(file.read_bytes())
    if not text.is_utf8:
        return False
    tree = ast.parse(text.raw)
    insertions = [one for task in tasks for one in _insertions(project, text, tree, task)]
    if any(task.code == "DS202" for task in tasks):
        insertions += final_import(text, tree)
    file.write_bytes(text.with_insertions(insertions))
    return bool(insertions)


def _insertions(project: Project, text: Text, tree: ast.Module, task: _Task) -> Iterator[Insertion]:
    if task.code == "DS202":
        start = text.offset(task.place.line, 0)
        yield Insertion(start, f"{text.indentation(task.place.line)}@final{text.line_end}")
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and node.lineno == task.place.line:
            yield from _entries(text, node, missing_names(project))
            return


def _entries(text: Text, table: ast.Dict, names: Sequence[str]) -> Iterator[Insertion]:
    """Add an entry for each name to the end of the table, in the table's own manner."""
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
