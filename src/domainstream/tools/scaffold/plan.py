"""The planned changes, in memory: nothing is written before all of them are known, and `check` may undo them."""

import json
import os
import tempfile
from difflib import ndiff, unified_diff
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from domainstream.tools.check.engine import check_project
from domainstream.tools.scaffold.compiling import UTF8, decoded, encoded, problems, shown
from domainstream.tools.scaffold.errors import CannotEditError, RefusedError
from domainstream.tools.scaffold.source import Source
from domainstream.tools.scaffold.style import FILES, Style, style_of

_WITHOUT_SNAPSHOT: Final = "DS605"
"""A published event has no snapshot. That is expected: the snapshot is taken once the payload is final."""


class Change(NamedTuple):
    """A planned change of one file."""

    path: str
    """The path relative to the project's folder."""

    before: str | None
    """The current text; None for a new file."""

    after: str
    """The new text."""

    encoding: str = UTF8
    """How the file is written; `utf-8-sig` has a byte order mark."""

    @property
    def content(self) -> bytes:
        """The new content of the file."""
        return encoded(self.path, self.after, self.encoding)

    @property
    def diff(self) -> str:
        """The change in the format of `git apply`."""
        mode = "new file mode 100644\n" if self.before is None else ""
        head = f"diff --git a/{self.path} b/{self.path}\n{mode}"
        origin = "/dev/null" if self.before is None else f"a/{self.path}"
        old, new = _lines(shown(self.before or "", self.encoding)), _lines(shown(self.after, self.encoding))
        lines = unified_diff(old, new, origin, f"b/{self.path}")
        return head + "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )

    @property
    def added(self) -> list[str]:
        """The lines that are added to an existing file."""
        lines = ndiff((self.before or "").splitlines(), self.after.splitlines())
        return [line[2:] for line in lines if line.startswith("+ ") and line[2:].strip()] if self.before else []


class Plan:
    """The files of a project, with the planned changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """The project's folder."""
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str] = {}
        self._encodings: dict[str, str] = {}

    def exists(self, path: str) -> bool:
        """Return whether a file exists or will be created."""
        return path in self._after or (self.root / path).is_file()

    def read(self, path: str) -> str:
        """Return the planned text of a file; raise `CannotEditError` when it is missing, unreadable or not UTF-8."""
        if path not in self._after:
            self._after[path] = self._read_from_disk(path)
            self._before[path] = self._after[path]
        return self._after[path]

    def source(self, path: str) -> Source:
        """Return a Python file for editing."""
        return Source(path, self.read(path), self.style(path).width)

    def write(self, path: str, text: str) -> None:
        """Plan the text of a file."""
        if path not in self._before:
            self._before[path] = self._read_from_disk(path) if (self.root / path).is_file() else None
        self._after[path] = text

    def put(self, source: Source) -> None:
        """Plan an edited Python file."""
        self.write(source.path, source.text)

    def style(self, path: str) -> Style:
        """Return the code style of a file, from the nearest settings above it."""
        inside = ((folder / name).as_posix() for folder in PurePosixPath(path).parents for name in FILES)
        texts = ((PurePosixPath(file).name, self.read(file)) for file in inside if self.exists(file))
        above = (parent / name for parent in self.root.resolve().parents for name in FILES)
        outside = ((file.name, file.read_text(encoding="utf-8", errors="replace")) for file in above if file.is_file())
        return style_of(chain(texts, outside))

    @property
    def changes(self) -> list[Change]:
        """The files that will change, sorted by path."""
        changed = [path for path, text in self._after.items() if text != self._before[path]]
        encodings = self._encodings
        return [
            Change(path, self._before[path], self._after[path], encodings.get(path, UTF8)) for path in sorted(changed)
        ]

    def commit(self) -> None:
        """Write every change, each file atomically.

        Raises `RefusedError`, after every file has been restored, when one cannot be written.
        """
        contents = [(change.path, change.content) for change in self.changes]
        try:
            for path, content in contents:
                _write(self.root / path, content)
        except OSError as error:
            self.undo()
            problem = f"{error.filename} cannot be written: {error.strerror}"
            raise RefusedError("Nothing was changed:", [problem]) from error

    def undo(self) -> None:
        """Restore every file, and remove the folders that were created for new ones."""
        for change in self.changes:
            path = self.root / change.path
            if change.before is not None:
                _write(path, encoded(change.path, change.before, change.encoding))
            elif path.exists():
                path.unlink()
                folder = path.parent
                while folder != self.root and not any(folder.iterdir()):
                    folder.rmdir()
                    folder = folder.parent

    def _read_from_disk(self, path: str) -> str:
        try:
            # read_text() would change the line ends.
            content = (self.root / path).read_bytes()
        except FileNotFoundError:
            raise CannotEditError(
                path, "there is no such file", "create it, or set its path in domainstream.toml"
            ) from None
        except OSError as error:
            raise CannotEditError(path, f"it cannot be read: {error.strerror}", "make it readable") from None
        text, self._encodings[path] = decoded(path, content)
        return text


class AppliedPlan(NamedTuple):
    """The result of applying a plan."""

    diff: str
    """Every change in the format of `git apply`; empty where there was nothing to do."""

    new: list[str]
    """The files that were created."""

    edited: list[str]
    """The files that were changed."""

    needs_snapshot: bool
    """Whether an event now lacks a snapshot in a project that takes snapshots."""

    def as_json(self) -> str:
        """Return files and diff as one JSON object on one line."""
        return json.dumps({"new": self.new, "edited": self.edited, "diff": self.diff})

    def summary(self, *, dry_run: bool) -> str:
        """Return one line on what was done, or would be."""
        if not self.diff:
            return "nothing to do: everything is in place"
        would = "would be " if dry_run else ""
        counts = [(len(self.new), "new"), (len(self.edited), "changed")]
        return ", ".join(
            f"{count} {'file' if count == 1 else 'files'} {would}{state}" for count, state in counts if count
        )


def apply(plan: Plan, *, dry_run: bool) -> AppliedPlan:
    """Write a plan, unless it is a dry run, and let `check` read the result.

    Every text is compiled before anything is written. Raises `RefusedError` for a text that is not valid, and with
    each new finding, after every file has been restored.
    """
    changes = plan.changes
    broken = [problem for change in changes for problem in problems(change.path, change.before, change.after)]
    if broken:
        # The cause is a form of the existing code, so the lines are what is left to do by hand.
        added = [f"{change.path}: {line}" for change in changes for line in change.added]
        raise RefusedError(
            "The edited files would be broken, so nothing was changed. Add these lines by hand:", [*broken, *added]
        )
    needs_snapshot = False
    if changes and not dry_run:
        before = {(finding.path, finding.code, finding.message) for finding in check_project(plan.root)}
        plan.commit()
        now = check_project(plan.root)
        new = [finding for finding in now if (finding.path, finding.code, finding.message) not in before]
        wrong = [f"{finding}; {finding.fix}" for finding in new if finding.code != _WITHOUT_SNAPSHOT]
        if wrong:
            plan.undo()
            raise RefusedError("`domainstream check` would refuse the result, so nothing was changed:", wrong)
        needs_snapshot = bool(new)
    return AppliedPlan(
        diff="".join(change.diff for change in changes),
        new=[change.path for change in changes if change.before is None],
        edited=[change.path for change in changes if change.before is not None],
        needs_snapshot=needs_snapshot,
    )


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, as git does: a form feed or a carriage return does not end a line."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [last for last in text.split("\n")[-1:] if last]


def _write(path: Path, content: bytes) -> None:
    """Replace a file atomically: a concurrent reader sees either the old or the new text."""
    path = path.resolve()  # a symbolic link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
