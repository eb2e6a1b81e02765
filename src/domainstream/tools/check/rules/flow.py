"""Rules of the flow, DS501 to DS503: what is subscribed to is published, and by one service."""

from collections.abc import Iterator

from domainstream.channel.channel_name import parse_channel_name
from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.domain import Channel
from domainstream.tools.check.model.flow import SubscribedChannel
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.channels import candidate_services
from domainstream.tools.check.rules.mapping import returned


def unpublished_channels(project: Project) -> Iterator[RawFinding]:
    """Find channels without a publisher and without a subscription."""
    subscribed = set(_subscribed(project))
    for channel, why in _unpublished(project):
        if channel.name not in subscribed:
            yield RawFinding(channel.location, f"no service publishes to {channel.name}{why}", _fix(channel))


def unpublished_subscriptions(project: Project) -> Iterator[RawFinding]:
    """Find subscriptions to channels without a publisher: their handlers are never called."""
    subscribed = _subscribed(project)
    for channel, why in _unpublished(project):
        if channel.name in subscribed:
            message = f"{channel.name} has a subscription, but no service publishes to it{why}"
            yield RawFinding(subscribed[channel.name].location, message, _fix(channel))


def _subscribed(project: Project) -> dict[str, SubscribedChannel]:
    entries = (entry for table in project.subscription_maps for entry in table.entries)
    return {entry.channel: entry for entry in entries if entry.subscriptions}


def _fix(channel: Channel) -> str:
    return f"add a case to the mapper of its service that returns {channel.name}, or remove the channel"


def _unpublished(project: Project) -> Iterator[tuple[Channel, str]]:
    """Yield the channels without a publisher, and the reason if it is known.

    Where the service's mapper forgets the channel's event, or sends it elsewhere, that is reported as what it is.
    """
    published = {outcome.channel for _, _, outcome in returned(project)}
    inside = kept_inside(project)
    with_mapper = {mapper.service for mapper in project.mappers}
    blamed = {event.event_type for event in project.events if event.service in with_mapper} - inside.keys()
    unclear = _unclear_services(project)
    folders = {service.name: service.aggregates for service in project.services}
    for enum in project.enums:
        services = folders if enum.services is None else enum.services
        for channel in enum.channels:
            kind = channel.name.lower()
            if channel.name in published or kind in blamed:
                continue
            if parse_channel_name(channel.name, candidate_services(channel.name, services)).service not in unclear:
                yield channel, f": its event {inside[kind]} is mapped to None" if kind in inside else ""


def kept_inside(project: Project) -> dict[str, str]:
    """Return the event types, with the event's name, that a mapper keeps inside and none publishes."""
    events = [
        project.event_by_symbol[symbol]
        for mapper in project.mappers
        for case in mapper.cases
        if case.outcomes and all(outcome.channel is None for outcome in case.outcomes)
        for symbol in case.events
    ]
    published = {event.symbol for _, event, _ in returned(project)}
    return {event.event_type: event.name for event in events if event.event_type and event.symbol not in published}


def _unclear_services(project: Project) -> set[str]:
    """Return the services that may publish in ways which cannot be understood from here."""
    clear = {mapper.service for mapper in project.mappers}
    unclear = {mapper.service for mapper in project.mappers if not mapper.understood}
    unclear |= {mapper.service for mapper in project.mappers for case in mapper.cases if not case.outcomes}
    without = {service.name for service in project.services if service.names_channels} - clear
    return unclear | without | project.broken_services | set(project.settings.external_services)


def published_twice(project: Project) -> Iterator[RawFinding]:
    """Find events that two services publish: it is unclear which of them owns the event."""
    first: dict[str, str] = {}
    for mapper, event, outcome in returned(project):
        service = first.setdefault(event.symbol, mapper.service)
        if service != mapper.service:
            message = f"{event.name} is published by {service} and by {mapper.service}"
            fix = f"publish it from {event.service} alone; the other one needs an event of its own"
            yield RawFinding(outcome.location, message, fix)
