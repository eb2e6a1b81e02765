"""The planned changes, in memory: nothing is written before all of them are known, and `check` may undo them."""

import json
import os
import tempfile
from difflib import unified_diff
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from domainstream.tools.check.engine import check_project
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

    @property
    def diff(self) -> str:
        """The change in the format of `git apply`."""
        mode = "new file mode 100644\n" if self.before is None else ""
        head = f"diff --git a/{self.path} b/{self.path}\n{mode}"
        origin = "/dev/null" if self.before is None else f"a/{self.path}"
        old, new = _lines(self.before or ""), _lines(self.after)
        lines = unified_diff(old, new, origin, f"b/{self.path}")
        return head + "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )


class Plan:
    """The files of a project, with the planned changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """The project's folder."""
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str] = {}

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
        return [Change(path, self._before[path], self._after[path]) for path in sorted(changed)]

    def commit(self) -> None:
        """Write every change, each file atomically.

        Raises `RefusedError`, after every file has been restored, when one cannot be written.
        """
        try:
            for change in self.changes:
                _write(self.root / change.path, change.after)
        except OSError as error:
            self.undo()
            problem = f"{error.filename} cannot be written: {error.strerror}"
            raise RefusedError("Nothing was changed:", [problem]) from error

    def undo(self) -> None:
        """Restore every file, and remove the folders that were created for new ones."""
        for change in self.changes:
            path = self.root / change.path
            if change.before is not None:
                _write(path, change.before)
            elif path.exists():
                path.unlink()
                folder = path.parent
                while folder != self.root and not any(folder.iterdir()):
                    folder.rmdir()
                    folder = folder.parent

    def _read_from_disk(self, path: str) -> str:
        try:
            # read_text() would change the line ends.
            return (self.root / path).read_bytes().decode()
        except FileNotFoundError:
            raise CannotEditError(
                path, "there is no such file", "create it, or set its path in domainstream.toml"
            ) from None
        except OSError as error:
            raise CannotEditError(path, f"it cannot be read: {error.strerror}", "make it readable") from None
        except UnicodeDecodeError:
            raise CannotEditError(path, "it is not UTF-8", "save it as UTF-8") from None


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

    Raises `RefusedError` with each new finding, after every file has been restored.
    """
    changes = plan.changes
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


def _write(path: Path, text: str) -> None:
    """Replace a file atomically: a concurrent reader sees either the old or the new text."""
    path = path.resolve()  # a symbolic link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
