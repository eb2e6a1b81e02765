"""What is written is what Python reads: the encoding of a file is kept, and its new text is compiled first."""

import ast
import builtins
import io
import platform
import symtable
import tokenize
import tomllib
import warnings
from collections.abc import Iterator
from typing import Final, NamedTuple

from domainstream.tools.scaffold.errors import CannotEditError

UTF8: Final = "utf-8"
_BOM: Final = "utf-8-sig"
_VERSION: Final = ".".join(platform.python_version_tuple()[:2])
_OF_MODULES: Final = frozenset({"__file__", "__name__", "__path__", "__package__", "__spec__", "__builtins__"})


class NotPython(NamedTuple):
    """Why a text is not Python."""

    reason: str
    """What Python says about it."""

    line: int
    """The line, from 1."""


def decoded(path: str, content: bytes) -> tuple[str, str]:
    """Return the text of a file without a byte order mark, and its encoding.

    Raises `CannotEditError` for bytes that are not text in the encoding that the file declares.
    """
    encoding = _BOM if content.startswith(b"\xef\xbb\xbf") else UTF8
    try:
        if path.endswith(".py"):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding), encoding
    except (SyntaxError, UnicodeDecodeError):
        raise CannotEditError(
            path, "it is not UTF-8, nor in an encoding that it declares", "save it as UTF-8"
        ) from None


def encoded(path: str, text: str, encoding: str) -> bytes:
    """Return the content of a file; raise `CannotEditError` for a text that its encoding does not have."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        what = f"its encoding {encoding} has no {error.object[error.start]!r}"
        raise CannotEditError(path, what, "save it as UTF-8") from None


def shown(text: str, encoding: str) -> str:
    """Return a text as `git` compares it, with its byte order mark."""
    return f"\ufeff{text}" if encoding == _BOM else text


def why_not_python(path: str, text: str) -> NotPython | None:
    """Return why this version of Python would not run a text; None for valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return NotPython(f"this is not Python {_VERSION}: {error.msg}", error.lineno or 1)
    except (ValueError, RecursionError, MemoryError) as error:
        return NotPython(f"this is not Python {_VERSION}: {error}", 1)
    return None


def problems(path: str, before: str | None, after: str) -> Iterator[str]:
    """Yield why a planned text would break its file: it is not valid, or it uses a name that nothing defines there."""
    if path.endswith(".toml"):
        try:
            tomllib.loads(after)
        except tomllib.TOMLDecodeError as error:
            yield f"{path} would not be valid TOML: {error}"
    elif path.endswith(".py"):
        why = why_not_python(path, after)
        if why is not None:
            yield f"{path}:{why.line}: {why.reason}"
        elif before is not None and why_not_python(path, before) is None:
            for name in sorted(_undefined(path, after) - _undefined(path, before)):
                yield f"{path}: {name} would not be defined in it"


def _undefined(path: str, text: str) -> set[str]:
    """Return the names that a module uses without defining them; none where a star import may define them."""
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(ast.parse(text))):
        return set()
    top = symtable.symtable(text, path, "exec")
    tables, used, defined = [top], set(), {*vars(builtins), *_OF_MODULES}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            at_top = table is top or symbol.is_declared_global()
            if at_top and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                defined.add(symbol.get_name())
            elif symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
    return used - defined
