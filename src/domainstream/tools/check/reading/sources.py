"""The system's Python files: their text, their syntax trees, and their comments that ignore findings.

Reading every file is cheap, parsing is not: readers look for a few words first and ask for the tree only then.
"""

import ast
import io
import os
import platform
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.project import IgnoreComment, Unreadable
from domainstream.tools.check.settings import CheckSettings

_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "tests", "test"})
_VERSION: Final = ".".join(platform.python_version_tuple()[:2])
_TEST_FILES: Final = ("test_", "conftest.py")
_IGNORE_WORDS: Final = re.compile(rb"domainstream:\s*ignore")
_IGNORE_COMMENT: Final = re.compile(r"#\s*domainstream:\s*ignore\b(?:\[([^\]]*)\])?\W*(.*)")
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
    def in_domain_layer(self) -> bool:
        """Whether it is in a service's domain layer."""
        return bool(self.service) and self.inside[:1] == ("domain_layer",)

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return [line.decode("utf-8", "replace") for line in _lines(self.text)]

    def location(self, node: ast.AST) -> Location:
        """Return where a node begins."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        if column and not self.text.isascii():
            # Trees count bytes of UTF-8, readers count characters.
            lines = _lines(self.text)
            column = len(lines[line - 1][:column].decode("utf-8", "replace")) if line <= len(lines) else column
        return Location(self.path, line, column + 1)

    def end(self, node: ast.AST) -> Location:
        """Return where a node's last line begins."""
        return Location(self.path, getattr(node, "end_lineno", None) or 1)


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
        """The services' Python packages."""
        for folder in self.service_folders:
            self._add_folder(folder, service=folder.name)

    def __iter__(self) -> Iterator[Source]:
        return iter(self.files.values())

    def matching(self, patterns: tuple[str, ...]) -> list[Source]:
        """Return the files that the patterns name, including files outside of services and packages."""
        paths = [path for pattern in patterns for path in sorted(self._root.glob(pattern)) if path.is_file()]
        known = {source.path: source for source in self}
        found: list[Source | None] = []
        for path in paths:
            shown = self._shown(path)
            parts = PurePosixPath(shown).with_suffix("").parts
            module = ".".join(parts[parts.index("src") + 1 if "src" in parts else 0 :])
            found.append(known.get(shown) or self._read(path, shown, module, "", ()))
        return [source for source in found if source is not None]

    def tree(self, source: Source) -> ast.Module | None:
        """Return a file's tree; None, and a note in `unreadable`, when it is not Python."""
        if source.path not in self._trees:
            self._trees[source.path] = None
            try:
                tree = ast.parse(source.text)
                # Some mistakes, such as a case behind `case _`, are found by the compiler and not by the parser.
                compile(tree, source.path, "exec", dont_inherit=True)
                self._trees[source.path] = tree
            except SyntaxError as error:
                location = Location(source.path, max(error.lineno or 1, 1), max(error.offset or 1, 1))
                why = f"this is not Python {_VERSION}: {error.msg}"
                self.give_up(source, why, "correct it, or remove the file", location)
            except (RecursionError, MemoryError):
                self.give_up(source, *TOO_DEEP)
            except ValueError as error:  # a zero byte
                self.give_up(source, f"this is not Python {_VERSION}: {error}", "remove what is not text")
        return self._trees[source.path]

    def parsed(self) -> list[tuple[Source, ast.Module]]:
        """Return the files that a reader has asked for, with their trees."""
        trees = ((source, self._trees.get(source.path)) for source in self)
        return [(source, tree) for source, tree in trees if tree is not None]

    def give_up(self, source: Source, why: str, fix: str, location: Location | None = None) -> None:
        """Note that a file cannot be understood."""
        self.unreadable.setdefault(source.path, Unreadable(why, fix, location or Location(source.path)))

    def _add_folder(self, top: Path, service: str) -> None:
        """Read the files of a package, except for tests; links to folders are not followed, so this ends."""
        for folder, names, files in os.walk(
            top, onerror=lambda error: self._deny(error, self._shown(Path(error.filename)))
        ):
            names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
            inside = Path(folder).relative_to(top).parts
            shown = self._shown(Path(folder))
            for name in sorted(files):
                if name.endswith(".py") and not name.startswith(_TEST_FILES) and not name.endswith("_test.py"):
                    module = ".".join((top.name, *inside, name.removesuffix(".py")))
                    self._read(Path(folder, name), f"{shown}/{name}", module, service, inside)

    def _deny(self, error: OSError, shown: str) -> None:
        why = f"this cannot be read: {error.strerror}"
        self.unreadable[shown] = Unreadable(why, "correct its permissions", Location(shown))

    def _read(self, path: Path, shown: str, module: str, service: str, inside: tuple[str, ...]) -> Source | None:
        try:
            # A pipe that is called .py would never end.
            text = path.read_bytes() if path.is_file() else None
        except OSError as error:
            self._deny(error, shown)
            return None
        if text is None:
            return None
        is_package = module.endswith(".__init__")
        name = module.rpartition(".")[0] if is_package else module
        source = Source(shown, name, is_package, service, inside, text)
        self.files[name] = source
        return source

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


@lru_cache(maxsize=4)
def _lines(text: bytes) -> list[bytes]:
    return text.splitlines()


def _folders(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the packages that the patterns name; links are not followed."""
    found = {path for pattern in patterns for path in root.glob(pattern)}
    names = [path for path in found if path.name.isidentifier() and path.name not in _SKIPPED]
    return sorted(path for path in names if path.is_dir() and not path.is_symlink())


def read_ignores(source: Source) -> Iterator[IgnoreComment]:
    """Yield each comment such as `# domainstream: ignore[CODE] reason`; one on its own line is about the next line."""
    if not _IGNORE_WORDS.search(source.text):
        return
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(source.text).readline))
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
        # Not Python: the file is reported for that if any rule needs it.
        return
    for token in tokens:
        match = _IGNORE_COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if match:
            line, column = token.start
            codes = tuple(code.strip() for code in (match[1] or "").split(",") if code.strip())
            alone = not token.line[:column].strip()
            yield IgnoreComment(codes, match[2].strip(), line + alone, Location(source.path, line, column + 1))
