"""The system's Python files, their text and their syntax trees.

Reading every file is cheap, parsing is not: readers look for a few words first and ask for the tree only then.
"""

import ast
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.project import Unreadable
from domainstream.tools.check.settings import CheckSettings

_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "tests", "test"})
_VERSION: Final = ".".join(platform.python_version_tuple()[:2])
_TEST_FILES: Final = ("test_", "conftest.py")
TOO_DEEP: Final = ("this is nested too deeply", "break the longest expression into several statements")
"""What is wrong with a file that Python's stack is too small for, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of Python."""

    path: str
    """Relative to the root, with `/`."""

    module: str
    """The dotted name under which it is imported."""

    is_package: bool
    """Whether it is an `__init__.py`."""

    service: str
    """The service it belongs to; empty for a shared package."""

    inside: tuple[str, ...]
    """Its folders within the service's package."""

    text: bytes
    """What it holds."""

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return [line.decode("utf-8", "replace") for line in _lines(self.text)]

    def location(self, node: ast.AST) -> Location:
        """Return where a node begins."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return Location(self.path, line, self._characters(line, column) + 1)

    def end(self, node: ast.AST) -> Location:
        """Return where a node's last line begins."""
        return Location(self.path, getattr(node, "end_lineno", None) or 1)

    def _characters(self, line: int, column: int) -> int:
        """Turn a column of UTF-8 bytes, as trees have it, into one of characters."""
        if not column or self.text.isascii():
            return column
        lines = _lines(self.text)
        return len(lines[line - 1][:column].decode("utf-8", "replace")) if line <= len(lines) else column


class Sources:
    """All files of the services and packages, and the syntax trees of those that a reader asked for."""

    def __init__(self, root: Path, settings: CheckSettings) -> None:
        self.files: dict[str, Source] = {}
        """The files by module."""
        self.unreadable: dict[str, Unreadable] = {}
        """What could not be read or parsed."""
        self._root = root
        self._trees: dict[str, ast.Module | None] = {}
        for package in _folders(root, settings.packages):
            self._add_folder(package, service="")
        self.service_folders = _folders(root, settings.services)
        for folder in self.service_folders:
            self._add_folder(folder, service=folder.name)

    def __iter__(self) -> Iterator[Source]:
        return iter(self.files.values())

    def matching(self, patterns: tuple[str, ...]) -> list[Source]:
        """Return the files that the patterns name, also where they lie outside of services and packages."""
        paths = [path for pattern in patterns for path in sorted(self._root.glob(pattern)) if path.is_file()]
        known = {source.path: source for source in self}
        found = [known.get(self._shown(path)) or self._read(path, self._module_beside(path), "", ()) for path in paths]
        return [source for source in found if source is not None]

    def tree(self, source: Source) -> ast.Module | None:
        """Return a file's tree; None, and a note in `unreadable`, when it is not Python."""
        if source.path not in self._trees:
            self._trees[source.path] = self._parse(source)
        return self._trees[source.path]

    def give_up(self, source: Source, why: str, fix: str, location: Location | None = None) -> None:
        """Note that a file cannot be understood."""
        self.unreadable.setdefault(source.path, Unreadable(why, fix, location or Location(source.path)))

    def _parse(self, source: Source) -> ast.Module | None:
        try:
            return ast.parse(source.text)
        except SyntaxError as error:
            location = Location(source.path, max(error.lineno or 1, 1), max(error.offset or 1, 1))
            self.give_up(
                source, f"this is not Python {_VERSION}: {error.msg}", "correct it, or remove the file", location
            )
        except (RecursionError, MemoryError):
            self.give_up(source, *TOO_DEEP)
        except ValueError as error:  # a zero byte
            self.give_up(source, f"this is not Python {_VERSION}: {error}", "remove what is not text")
        return None

    def _add_folder(self, top: Path, service: str) -> None:
        for path in _python_files(top, self._closed):
            inside = path.relative_to(top).parent.parts
            self._read(path, ".".join((top.name, *inside, path.stem)), service, inside)

    def _closed(self, error: OSError) -> None:
        shown = self._shown(Path(error.filename))
        self.unreadable[shown] = _without_permission(error, shown)

    def _read(self, path: Path, module: str, service: str, inside: tuple[str, ...]) -> Source | None:
        shown = self._shown(path)
        try:
            # A pipe that is called .py would never end.
            text = path.read_bytes() if path.is_file() else None
        except OSError as error:
            self.unreadable[shown] = _without_permission(error, shown)
            return None
        if text is None:
            return None
        is_package = path.stem == "__init__"
        name = module.rpartition(".")[0] if is_package else module
        source = Source(shown, name, is_package, service, inside, text)
        self.files[name] = source
        return source

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _module_beside(self, path: Path) -> str:
        parts = PurePosixPath(self._shown(path)).with_suffix("").parts
        after = parts.index("src") + 1 if "src" in parts else 0
        return ".".join(parts[after:])


def _without_permission(error: OSError, shown: str) -> Unreadable:
    return Unreadable(f"this cannot be read: {error.strerror}", "correct its permissions", Location(shown))


@lru_cache(maxsize=4)
def _lines(text: bytes) -> list[bytes]:
    return text.splitlines()


def _folders(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = {path for pattern in patterns for path in root.glob(pattern) if _is_package(path)}
    return sorted(found)


def _is_package(path: Path) -> bool:
    return path.name.isidentifier() and path.name not in _SKIPPED and path.is_dir() and not path.is_symlink()


def _python_files(top: Path, closed: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files of a package, but for tests; links to folders are not followed, so this ends."""
    for folder, names, files in os.walk(top, onerror=closed):
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if _is_code(name))


def _is_code(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(_TEST_FILES) and not name.endswith("_test.py")
