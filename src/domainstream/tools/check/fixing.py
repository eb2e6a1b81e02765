"""Fixes what one more line fixes: a missing `@final`, a missing `[]` subscription.

It only inserts text: comments, order and line ends of a file stay as they are.
"""

import ast
import io
import re
import stat
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from domainstream.tools.check.engine import findings_of
from domainstream.tools.check.findings import Finding
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.subscriptions import missing_names

Import = ast.Import | ast.ImportFrom
_NOT_FINAL: Final = "DS202"
_NOT_SUBSCRIBED: Final = "DS401"


class Insertion(NamedTuple):
    """Text to be added."""

    offset: int
    """Before which byte."""

    text: str
    """What."""


class Text:
    """A file's bytes in UTF-8, by line."""

    def __init__(self, raw: bytes) -> None:
        self.encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        """How the file is written; trees count bytes of UTF-8, whatever that is."""
        text = raw.decode(self.encoding).encode()
        self.raw = text
        """The bytes, without a byte order mark."""
        self._starts = [0]
        self.line_end = "\r\n" if b"\r\n" in text else "\n"
        """How its lines end."""
        self._lines = text.splitlines(keepends=True)
        self._starts += accumulate(map(len, self._lines))

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
        for offset, text in reversed(sorted(insertions, key=lambda insertion: insertion.offset)):  # noqa: C413 - keeps equals in order
            result = result[:offset] + text.encode() + result[offset:]
        return result


def fix(root: Path, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[str]:
    """Fix the system at `root` and return the files that changed; what a comment ignores stays.

    `select` and `ignore` are prefixes of codes. What cannot be fixed stays, and is a finding of the next check. Raises
    `ConfigurationError` as `check_project` does.
    """
    project = read_project(root)
    findings = (finding for finding in findings_of(project) if finding.code.startswith(select or ""))
    changed = []
    for path, result in planned_fixes(project, (each for each in findings if not each.code.startswith(ignore))).items():
        if isinstance(result, bytes):
            (project.root / path).write_bytes(result)
            changed.append(path)
    return changed


def planned_fixes(project: Project, findings: Iterable[Finding]) -> dict[str, bytes | str]:
    """Return for each file with findings that have a fix what it would hold, or why the file cannot be fixed."""
    tasks: dict[str, dict[tuple[str, int], None]] = {}
    for finding in findings:
        if finding.code in {_NOT_FINAL, _NOT_SUBSCRIBED}:
            tasks.setdefault(finding.path, {})[finding.code, finding.line] = None
    return {path: _fixed(project, path, wanted) for path, wanted in tasks.items()}


def _fixed(project: Project, path: str, tasks: Iterable[tuple[str, int]]) -> bytes | str:
    """Return the content of one file with everything that it lacks, or why that cannot be added."""
    file = project.root / path
    raw = file.read_bytes()
    text = Text(raw)
    if not file.stat().st_mode & stat.S_IWRITE:
        return "the file is read-only"
    insertions = list(_insertions(project, raw, text, tasks))
    if not insertions:
        return "the table is not written out there"
    try:
        fixed = text.with_insertions(insertions).decode().encode(text.encoding)
    except UnicodeEncodeError:
        return f"the names are not in the file's encoding, {text.encoding}"
    try:
        compile(fixed, path, "exec", dont_inherit=True)
    except SyntaxError:
        return "the code has a form that cannot be added to"
    return fixed


def _insertions(project: Project, raw: bytes, text: Text, tasks: Iterable[tuple[str, int]]) -> Iterator[Insertion]:
    """Yield what one file lacks; a task is the code of a finding and its line."""
    tree = ast.parse(raw)
    for code, line in tasks:
        if code == _NOT_FINAL:
            yield Insertion(text.offset(line, 0), f"{text.indentation(line)}@final{text.line_end}")
        else:
            tables = (node for node in ast.walk(tree) if isinstance(node, ast.Dict) and node.lineno == line)
            if (table := next(tables, None)) is not None:
                yield from _entries(text, table, missing_names(project))
    imports = [statement for statement in tree.body if isinstance(statement, Import)]
    # `from typing import final as sealed` does not give a name to `@final`.
    known = any((alias.asname or alias.name) == "final" for statement in imports for alias in statement.names)
    if not known and any(code == _NOT_FINAL for code, _ in tasks):
        yield _final_import(text, tree, imports)


def _entries(text: Text, table: ast.Dict, names: Sequence[str]) -> Iterator[Insertion]:
    """Add an entry for each name to the end of the table, in the style of the table."""
    # A file may import the enum under another name than its own.
    enum = next((ast.unparse(key.value) for key in table.keys if isinstance(key, ast.Attribute)), None)
    spelled = names if enum is None else [f"{enum}.{name.rpartition('.')[2]}" for name in names]
    entries = [f"{name}: []" for name in spelled]
    close = text.offset(table.end_lineno or 1, (table.end_col_offset or 1) - 1)
    start = text.offset(table.lineno, table.col_offset) + 1
    last = table.values[-1] if table.values else None
    end = text.offset(last.end_lineno or 1, last.end_col_offset or 0) if last else start
    # What follows the last value: its own brackets, a comma, comments.
    tail = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), text.raw[end:close]).rstrip()
    has_comma = last is None or tail.endswith(b",")
    if last is None or table.end_lineno == table.lineno:
        joint = "" if last is None else " " if has_comma else ", "
        yield Insertion(end + len(tail), joint + ", ".join(entries))
        return
    if not has_comma:
        yield Insertion(end + len(tail), ",")
    first = table.keys[0] or table.values[0]
    indentation = text.indentation(first.lineno)
    lines = "".join(f"{indentation}{entry},{text.line_end}" for entry in entries)
    yield Insertion(text.offset(table.end_lineno or 1, 0), lines)


def _final_import(text: Text, tree: ast.Module, imports: list[Import]) -> Insertion:
    """Return what has to be added to a file so that it knows `final`, where isort would put it."""
    for statement in imports:
        # `from .typing import Money` is a module of the system's own.
        is_typing = isinstance(statement, ast.ImportFrom) and statement.module == "typing" and not statement.level
        if isinstance(statement, ast.ImportFrom) and is_typing and statement.names[0].name != "*":
            return _final_name(text, statement)
    line = f"from typing import final{text.line_end}"
    usual = [node for node in imports if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    standard = [statement for statement in usual if _is_standard(statement)]
    # isort puts every `import x` before `from x import y`.
    before = [node for node in standard if isinstance(node, ast.Import) or (node.module or "") < "typing"]
    if before:
        return Insertion(text.offset((before[-1].end_lineno or 1) + 1, 0), line)
    if standard:
        return Insertion(text.offset(standard[0].lineno, 0), line)
    # Without imports, the line goes before the first statement after the docstring and `from __future__ import ...`.
    body = tree.body[0 if ast.get_docstring(tree) is None else 1 :]
    first = usual[0] if usual else next(statement for statement in body if not isinstance(statement, ast.ImportFrom))
    return Insertion(text.offset(first.lineno, 0), f"{line}{text.line_end}")


def _final_name(text: Text, typing: ast.ImportFrom) -> Insertion:
    """Add the name to `from typing import ...`, before the first name that sorts after it."""
    # isort puts CONSTANTS and Classes before functions.
    after = next((alias for alias in typing.names if alias.name[:1].islower() and alias.name > "final"), None)
    neighbour = after or typing.names[-1]
    own_line = neighbour.lineno != typing.lineno
    joint = f",{text.line_end}{text.indentation(neighbour.lineno)}" if own_line else ", "
    if after is not None:
        return Insertion(text.offset(after.lineno, after.col_offset), f"final{joint}")
    return Insertion(text.offset(neighbour.end_lineno or 1, neighbour.end_col_offset or 0), f"{joint}final")


def _is_standard(statement: Import) -> bool:
    name = statement.names[0].name if isinstance(statement, ast.Import) else statement.module or ""
    relative = isinstance(statement, ast.ImportFrom) and statement.level > 0
    return not relative and name.partition(".")[0] in sys.stdlib_module_names
