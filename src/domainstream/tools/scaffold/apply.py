"""Shows a plan, writes it, and lets `check` judge the result."""

import json
from typing import Final, NamedTuple

from domainstream.tools.check.engine import check_project
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.plan import Plan

UNSEEN: Final = "DS605"
"""What `check` says of a published event that is in no snapshot yet: the snapshot is made once its payload is right."""


class Written(NamedTuple):
    """What became of a plan."""

    diff: str
    """Every change, as `git apply` takes it; empty where there was nothing to do."""

    new: list[str]
    """The files that were made."""

    edited: list[str]
    """The files that were changed."""

    unseen: bool
    """Whether an event is now in no snapshot, where others are."""

    def as_json(self) -> str:
        """Return files and diff as one object on one line."""
        return json.dumps({"new": self.new, "edited": self.edited, "diff": self.diff})

    def summary(self, *, dry_run: bool) -> str:
        """Say in one line what was done, or would be."""
        if not self.diff:
            return "nothing to do: all of it is there"
        would = "would be " if dry_run else ""
        parts = [(len(self.new), "new"), (len(self.edited), "changed")]
        return ", ".join(f"{count} {_files(count)} {would}{what}" for count, what in parts if count)


def finish(plan: Plan, *, dry_run: bool) -> Written:
    """Write a plan, unless it is only to be shown; `check` must find nothing new in the result but `UNSEEN`.

    Raises `RefusedError` with what it found, after every file is put back as it was.
    """
    changes = plan.changes
    unseen = False
    if changes and not dry_run:
        before = {(finding.path, finding.code, finding.message) for finding in check_project(plan.root)}
        plan.commit()
        now = check_project(plan.root)
        new = [one for one in now if (one.path, one.code, one.message) not in before]
        wrong = [f"{one}; {one.fix}" for one in new if one.code != UNSEEN]
        if wrong:
            plan.undo()
            raise RefusedError("`domainstream check` would refuse the result, so nothing was changed:", wrong)
        unseen = bool(new)
    return Written(
        diff="".join(change.diff for change in changes),
        new=[change.path for change in changes if change.before is None],
        edited=[change.path for change in changes if change.before is not None],
        unseen=unseen,
    )


def _files(count: int) -> str:
    return "file" if count == 1 else "files"
