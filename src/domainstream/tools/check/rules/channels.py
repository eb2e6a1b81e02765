"""Rules of channels, DS101 to DS109: names, values, services, aggregates and partitions.

The grammar is `domainstream.channel`'s own, so that `check` and start-up say the same.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Final

from domainstream.channel.channel_name import NameRule, Services, Violation, services_violations, violations_of
from domainstream.channel.partitions import partitions_problems
from domainstream.tools.check.findings import Location, RawFinding
from domainstream.tools.check.model.domain import Channel, ChannelEnum
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.settings import SETTINGS_FILE


def _broken(project: Project, rule: NameRule) -> Iterator[RawFinding]:
    for location, violation in _violations(project):
        if violation.rule == rule:
            message, _, fix = violation.partition("; ")
            yield RawFinding(location, message, fix)


@lru_cache(maxsize=1)
def _violations(project: Project) -> list[tuple[Location, Violation]]:
    """Return what the five rules of names find; each of them picks its own."""
    found: list[tuple[Location, Violation]] = []
    folders: Services = {service.name: service.aggregates for service in project.services if service.aggregates}
    # The folders do not name every service when one is elsewhere.
    known = folders if folders and not project.settings.external_services else None
    for enum in project.enums:
        services = known if enum.services is None else enum.services
        found += [(enum.location, violation) for violation in services_violations(enum.services or {})]
        taken: set[str] = set()
        for channel in enum.channels:
            # An alias is reported as a value used twice, and a value that is not plain is not judged.
            judged = channel.value is not None and channel.value not in taken
            value = channel.value if judged and channel.value is not None else channel.name.lower()
            taken.add(value)
            violations = violations_of(channel.name, value, candidate_services(channel.name, services))
            found += [(channel.location, violation) for violation in violations]
    return found


def candidate_services(name: str, services: Services | None) -> Services | None:
    """Return the services that a channel's name may begin with, or all of them, for the message to list.

    Comparing a thousand names with every service would take most of the time of a check.
    """
    if services is None:
        return None
    words = name.lower().removeprefix("domain_").split("_")
    beginnings = accumulate(words, lambda before, word: f"{before}_{word}")
    return {service: services[service] for service in beginnings if service in services} or services


def duplicate_values(project: Project) -> Iterator[RawFinding]:
    """Find values that two channels have, of one enum or of several."""
    first: dict[str, tuple[ChannelEnum, Channel]] = {}
    for enum in project.enums:
        for channel in enum.channels:
            if channel.value is None:
                continue
            owner, other = first.setdefault(channel.value, (enum, channel))
            if other is not channel:
                where = "" if owner is enum else f" of {owner.name} ({other.location.path}:{other.location.line})"
                own = f"use {channel.name} = {channel.name.lower()!r}"
                fix = "remove one of the two" if channel.name == other.name else own
                yield RawFinding(channel.location, f"{channel.name}: has the same value as {other.name}{where}", fix)


def retired_names(project: Project) -> Iterator[RawFinding]:
    """Find channels that have the name of one that was retired: its old entries and readers may still be there."""
    retired = {name.lower() for name in project.settings.retired}
    for enum in project.enums:
        for channel in enum.channels:
            if channel.name.lower() in retired or channel.value in retired:
                message = f"{channel.name} was retired, so old entries and readers of that name may still be there"
                yield RawFinding(
                    channel.location, message, "choose another name, or take it out of `retired` in domainstream.toml"
                )


def removed_channels(project: Project) -> Iterator[RawFinding]:
    """Find channels that events were published to and that no enum has any more; a channel in `retired` may go."""
    left = {name for channel in project.channel_by_name.values() for name in (channel.name.lower(), channel.value)}
    left |= {name.lower() for name in project.settings.retired}
    for event_type, snapshot in (project.snapshots or {}).items() if project.channel_by_name else ():
        service = PurePosixPath(project.snapshot_files[event_type].path).stem
        if event_type in left or service in {*project.settings.external_services, *project.broken_services}:
            continue
        owner = next((enum for enum in project.enums if service in (enum.services or {})), project.enums[0])
        renamed = next((event.event_type for event in project.events if event.name == snapshot.event), None)
        what = f"was renamed to {renamed.upper()}" if renamed else "was removed"
        message = f"{event_type.upper()} {what}, so its readers wait for events that nothing publishes any more"
        fix = (
            f'put it back, or, once it has neither readers nor entries, add "{event_type.upper()}" to `retired` in '
            f"{SETTINGS_FILE} and run domainstream schema snapshot"
        )
        yield RawFinding(owner.location, message, fix)


def wrong_partitions(project: Project) -> Iterator[RawFinding]:
    """Find partitions of unknown channels, too many of them, and those that cannot be read."""
    for enum in project.enums:
        if enum.partitions is None:
            fix = 'write it as a literal, such as {"DOMAIN_CODING_STAY_CREATED": 8}'
            yield RawFinding(enum.location, "partitions= cannot be read", fix)
        for problem in partitions_problems(enum.partitions or {}, [channel.name for channel in enum.channels]):
            message, _, fix = problem.partition("; ")
            yield RawFinding(enum.location, message, fix)


wrong_grammar: Final = partial(_broken, rule="grammar")
wrong_value: Final = partial(_broken, rule="value")
not_past_tense: Final = partial(_broken, rule="past tense")
unknown_service: Final = partial(_broken, rule="service")
unknown_aggregate: Final = partial(_broken, rule="aggregate")
