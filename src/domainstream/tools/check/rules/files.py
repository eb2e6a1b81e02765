"""Rules of the files themselves, DS001 to DS003: what cannot be read cannot be checked."""

from collections.abc import Iterator

from domainstream.tools.check.findings import Mistake, Place
from domainstream.tools.check.model.base import Project
from domainstream.tools.check.settings import SETTINGS_FILE


def unreadable(project: Project) -> Iterator[Mistake]:
    """Find files that are no Python, or that Python cannot take."""
    for file in project.unreadable:
        yield Mistake(file.place, file.why, file.fix)


def nothing_to_check(project: Project) -> Iterator[Mistake]:
    """Find settings that lead to no channels or no subscriptions: a check of nothing would always be clean."""
    broken = {file.place.path for file in project.unreadable}
    settings = project.settings
    no_channels = bool(project.enums) and not project.channel_by_name  # a new project has nothing to subscribe to yet
    for what, patterns, found in (
        ("enum of channels", settings.channels, project.has_channels),
        ("call of create_multiple_handlers", settings.subscriptions, project.subscription_maps or no_channels),
    ):
        if not found and not broken.intersection(patterns):
            name = "channels" if patterns is settings.channels else "subscriptions"
            message = f"there is no {what} in {', '.join(patterns) or 'no file'}"
            yield Mistake(Place(SETTINGS_FILE), message, f'say in {SETTINGS_FILE} where it is: {name} = "..."')


def ignored_without_reason(project: Project) -> Iterator[Mistake]:
    """Find comments that ignore a rule, but do not say which or why."""
    for comment in project.ignores:
        if not comment.codes:
            yield Mistake(comment.place, "this comment ignores no rule", "type: # domainstream: ignore[CODE] reason")
        elif not comment.reason:
            codes = ", ".join(comment.codes)
            message = f"this comment ignores {codes} without saying why"
            yield Mistake(comment.place, message, f"type: # domainstream: ignore[{codes}] reason")
