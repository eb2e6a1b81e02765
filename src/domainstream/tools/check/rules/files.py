"""Rules of the files themselves, DS001 to DS005: what cannot be read cannot be checked."""

from collections.abc import Iterator

from domainstream.tools.check.findings import Location, RawFinding
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.settings import SETTINGS_FILE


def unreadable(project: Project) -> Iterator[RawFinding]:
    """Find files that are not Python, or that Python cannot parse."""
    for file in project.unreadable:
        yield RawFinding(file.location, file.why, file.fix)


def nothing_to_check(project: Project) -> Iterator[RawFinding]:
    """Find settings that lead to no channels or no subscriptions: a check of nothing would always be clean."""
    broken = {file.location.path for file in project.unreadable}
    settings = project.settings
    no_channels = bool(project.enums) and not project.channel_by_name  # a new project has nothing to subscribe to yet
    for what, patterns, found in (
        ("enum of channels", settings.channels, project.has_channels),
        ("call of create_multiple_handlers", settings.subscriptions, project.subscription_maps or no_channels),
    ):
        if not found and not broken.intersection(patterns):
            name = "channels" if patterns is settings.channels else "subscriptions"
            message = f"there is no {what} in {', '.join(patterns) or 'no file'}"
            yield RawFinding(Location(SETTINGS_FILE), message, f'set its path in {SETTINGS_FILE}: {name} = "..."')


def ignored_without_reason(project: Project) -> Iterator[RawFinding]:
    """Find comments that ignore a rule, but do not say which or why."""
    for comment in project.ignores:
        if not comment.codes:
            yield RawFinding(
                comment.location, "this comment does not name a rule", "use # domainstream: ignore[CODE] reason"
            )
        elif not comment.reason:
            codes = ", ".join(comment.codes)
            message = f"this comment ignores {codes} without saying why"
            yield RawFinding(comment.location, message, f"use # domainstream: ignore[{codes}] reason")


def replaced_definitions(project: Project) -> Iterator[RawFinding]:
    """Find definitions that a later one of the same name replaces, as after a merge: Python keeps the last."""
    for repeated in project.repeated:
        if repeated.kind == "name":
            message = f"{repeated.name} is defined twice: this replaces {repeated.first}"
            yield RawFinding(repeated.location, message, "rename one of the two, or remove it")
    for chain in project.upcasters:
        versions = chain.versions or ()
        if twice := sorted({version for version in versions if versions.count(version) > 1}):
            message = f"two steps lead from version {twice[0]}, and the last one replaces the other"
            yield RawFinding(chain.location, message, "remove one of the two")
