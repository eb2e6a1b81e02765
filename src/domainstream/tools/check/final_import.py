"""Adds `from typing import final` where isort would put it."""

import ast
import sys
from collections.abc import Iterator

from domainstream.tools.check.text_edits import Insertion, Text

Import = ast.Import | ast.ImportFrom
_LINE = "from typing import final"


def final_import(text: Text, tree: ast.Module) -> Iterator[Insertion]:
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
