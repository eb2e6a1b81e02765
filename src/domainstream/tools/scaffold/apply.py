"""Applies a plan: writes its files, and puts them back where `check` finds something new in the result."""

import json
from typing import Final, NamedTuple

from domainstream.tools.check.engine import check_project
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.plan import Plan

WITHOUT_SNAPSHOT: Final = "DS605"
"""A published event has no snapshot. That is expected: the snapshot is taken once the payload is final."""


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
        wrong = [f"{finding}; {finding.fix}" for finding in new if finding.code != WITHOUT_SNAPSHOT]
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
