"""Rules of subscriptions, DS401 to DS410, and of the flow, DS501 to DS503.

Every channel is subscribed to, every job is handled, and what is subscribed to is published, by one service.
"""

from collections.abc import Iterator

from domainstream.channel.channel_name import parse_channel_name
from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.domain import Channel, Event
from domainstream.tools.check.model.flow import Consumer, Handler, SubscribedChannel, Subscription
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.channels import candidate_services
from domainstream.tools.check.rules.mapping import returned


def missing_channels(project: Project) -> Iterator[RawFinding]:
    """Find channels that the subscriptions do not name."""
    for name in missing_names(project):
        message = f"{name} is missing from the subscriptions"
        yield RawFinding(project.subscription_maps[0].location, message, f"add {name}: [], if it has no subscriber yet")


def missing_names(project: Project) -> list[str]:
    """Return the channels that the subscriptions do not name, as `Channel.NAME`; none where the table is not plain."""
    maps = project.subscription_maps
    if not maps or not all(table.complete for table in maps):
        return []
    present = {entry.channel for table in maps for entry in table.entries}
    pairs = ((enum, channel) for enum in project.enums for channel in enum.channels)
    return [f"{enum.name}.{channel.name}" for enum, channel in pairs if channel.name not in present]


def unknown_channels(project: Project) -> Iterator[RawFinding]:
    """Find subscriptions to channels that no enum has."""
    members = {enum.symbol: {channel.name for channel in enum.channels} for enum in project.enums}
    for entry in _entries(project):
        if entry.enum in members and entry.channel not in members[entry.enum]:
            name = entry.enum.rpartition(".")[2]
            message = f"the subscriptions name {name}.{entry.channel}, which {name} does not have"
            yield RawFinding(entry.location, message, "remove the entry, or add the channel to the enum")


def doubled_jobs(project: Project) -> Iterator[RawFinding]:
    """Find jobs that a channel has twice for one queue."""
    for entry in _entries(project):
        seen: set[tuple[str, str]] = set()
        for subscription in entry.subscriptions:
            queue, job = subscription.queue, subscription.job
            if queue is None or job is None:
                continue
            if (queue, job) in seen:
                message = f"{entry.channel}: the queue {queue} has the job {job} twice"
                yield RawFinding(subscription.location, message, "remove one of the two")
            seen.add((queue, job))


def queues_without_consumer(project: Project) -> Iterator[RawFinding]:
    """Find queues without a consumer."""
    if project.broken_services or any(consumer.queue is None for consumer in project.consumers):
        return
    known = {consumer.queue for consumer in project.consumers} | set(project.settings.external_queues)
    for _, subscription in _subscriptions(project):
        queue = subscription.queue
        if queue is not None and queue not in known:
            known.add(queue)
            message = f"the queue {queue} has no consumer, so its jobs pile up"
            fix = f'add EventConsumer("{queue}") to a service, or add it to external_queues in domainstream.toml'
            yield RawFinding(subscription.location, message, fix)


def unhandled_jobs(project: Project) -> Iterator[RawFinding]:
    """Find jobs that the consumer of their queue has no handler for: they wait in vain, and fail."""
    # A handler that was not understood may be the one that takes the job.
    if project.broken_services or not all(consumer.complete for consumer in project.consumers):
        return
    events: dict[str | None, list[Event]] = {}
    for event in (*project.events, *project.readers):
        events.setdefault(event.event_type, []).append(event)
    for entry, subscription in _subscriptions(project):
        own = events.get(entry.channel.lower(), [])
        queue, job = subscription.queue, subscription.job
        consumers = [consumer for consumer in project.consumers if consumer.queue == queue]
        if not own or job is None or not consumers or queue in project.settings.external_queues:
            continue
        symbols = {event.symbol for event in own}
        handlers = (handler for consumer in consumers for handler in consumer.handlers if handler.job in {None, job})
        if not any(symbols.intersection(handler.events) for handler in handlers):
            name = own[0].name
            message = f"the job {job} is never handled: the consumer of the queue {queue} has no handler for {name}"
            fix = f"add @consumer.on({name}) in {consumers[0].location.path}, or remove this subscription"
            yield RawFinding(subscription.location, message, fix)


def replaced_entries(project: Project) -> Iterator[RawFinding]:
    """Find entries that replace an earlier one of the same channel: of two equal keys, Python keeps the last."""
    for table in project.subscription_maps:
        first: dict[tuple[str, str], SubscribedChannel] = {}
        for entry in table.entries:
            other = first.setdefault((entry.enum, entry.channel), entry)
            if other.location != entry.location:
                where = f"{other.location.path}:{other.location.line}"
                message = f"{entry.channel} has two entries: this one replaces {where}, whose queues get no events"
                yield RawFinding(entry.location, message, "put the queues of both into one entry, and remove the other")


def doubled_handlers(project: Project) -> Iterator[RawFinding]:
    """Find handlers of an event and a job that the queue has a handler for: the consumer refuses the second one."""
    for consumer in project.consumers:
        first: dict[tuple[str, str | None], Handler] = {}
        class_of: dict[str, Event] = {}
        for handler in consumer.handlers:
            for symbol in handler.events:
                event = project.event_by_symbol[symbol]
                other = first.setdefault((symbol, handler.job), handler)
                read_by = class_of.setdefault(event.event_type or symbol, event)
                name = event.name
                if read_by is not event and (read_by in project.readers or event in project.readers):
                    message = (
                        f"{name} and {read_by.name} ({read_by.location.path}:{read_by.location.line}) are one event"
                    )
                    yield RawFinding(
                        handler.location, message, "use one of the two classes in all handlers of the queue"
                    )
                elif other is not handler:
                    jobs = "" if handler.job is None else f" in jobs named {handler.job}"
                    where = f"{other.name or 'a handler'} ({other.location.path}:{other.location.line})"
                    message = f"{name}{jobs} is already handled by {where}"
                    yield RawFinding(handler.location, message, "remove one of the two, or give each its own job")


def doubled_consumers(project: Project) -> Iterator[RawFinding]:
    """Find queues with two consumers: each worker takes any job, also those that only the other one handles."""
    first: dict[str, Consumer] = {}
    for consumer in project.consumers:
        if consumer.queue is None or not consumer.made:
            continue
        other = first.setdefault(consumer.queue, consumer)
        if other is not consumer and (not consumer.symbol or other.symbol != consumer.symbol):
            where = f"{other.location.path}:{other.location.line}"
            message = f"the queue {consumer.queue} has another consumer ({where}), and each takes the other's jobs"
            fix = "register all handlers of the queue on one consumer, or give this one a queue of its own"
            yield RawFinding(consumer.location, message, fix)


def doubled_names(project: Project) -> Iterator[RawFinding]:
    """Find members of the enums of queues and jobs that have the value of another one: Python makes them aliases."""
    for repeated in project.repeated:
        if repeated.kind == "value":
            message = f"{repeated.name} has the value of {repeated.first}, so both are the same queue or job"
            yield RawFinding(repeated.location, message, "give it a value of its own, or remove it")


def disagreeing_partitions(project: Project) -> Iterator[RawFinding]:
    """Find subscriptions and consumers of one queue that do not say the same number of partitions."""
    first: dict[str, Subscription] = {}
    for _, subscription in _subscriptions(project):
        queue, partitions = subscription.queue, subscription.partitions
        if queue is None or partitions is None:
            continue
        other = first.setdefault(queue, subscription)
        if other.partitions != partitions:
            where = f"{other.location.path}:{other.location.line}"
            numbers = f"has partitions={partitions} here and {other.partitions} at {where}"
            message = f"the queue {queue} {numbers}: its workers work only one of them"
            yield RawFinding(subscription.location, message, "use the same number everywhere")
    for consumer in project.consumers:
        subscribed = first.get(consumer.queue or "")
        if subscribed is None or not consumer.made or consumer.partitions in {None, subscribed.partitions}:
            continue
        numbers = f"partitions={subscribed.partitions} in its subscriptions and {consumer.partitions} in its consumer"
        message = f"the queue {consumer.queue} has {numbers}, so jobs go where no worker is"
        fix = f"use EventConsumer(..., partitions={subscribed.partitions})"
        yield RawFinding(consumer.location, message, fix)


def unpublished_channels(project: Project) -> Iterator[RawFinding]:
    """Find channels without a publisher and without a subscription."""
    subscribed = {entry.channel for entry in _entries(project) if entry.subscriptions}
    for channel, why in _unpublished(project):
        if channel.name not in subscribed:
            yield RawFinding(channel.location, f"no service publishes to {channel.name}{why}", _fix(channel))


def unpublished_subscriptions(project: Project) -> Iterator[RawFinding]:
    """Find subscriptions to channels without a publisher: their handlers are never called."""
    subscribed = {entry.channel: entry for entry in _entries(project) if entry.subscriptions}
    for channel, why in _unpublished(project):
        if channel.name in subscribed:
            message = f"{channel.name} has a subscription, but no service publishes to it{why}"
            yield RawFinding(subscribed[channel.name].location, message, _fix(channel))


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
    foreign = {reader.symbol for reader in project.readers}
    for mapper, event, outcome in returned(project):
        if event.symbol in foreign:
            message = f"{event.name} of {event.service} is a class to read another service's event with"
            yield RawFinding(outcome.location, message, "remove its case; only the owner publishes the event")
            continue
        service = first.setdefault(event.symbol, mapper.service)
        if service != mapper.service:
            message = f"{event.name} is published by {service} and by {mapper.service}"
            fix = f"publish it from {event.service} alone; the other one needs an event of its own"
            yield RawFinding(outcome.location, message, fix)


def _entries(project: Project) -> Iterator[SubscribedChannel]:
    return (entry for table in project.subscription_maps for entry in table.entries)


def _subscriptions(project: Project) -> Iterator[tuple[SubscribedChannel, Subscription]]:
    return ((entry, subscription) for entry in _entries(project) for subscription in entry.subscriptions)
