"""Rules of subscriptions, DS401 to DS405: every channel is there, every job is handled."""

from collections.abc import Iterator

from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.flow import Consumer, SubscribedChannel, Subscription
from domainstream.tools.check.model.project import Project


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
    """Find jobs that the consumer of their queue has no handler for: they fail permanently."""
    # A handler that was not understood may be the one that takes the job.
    if project.broken_services or not all(consumer.complete for consumer in project.consumers):
        return
    events: dict[str | None, list[Event]] = {}
    for event in project.events:
        events.setdefault(event.event_type, []).append(event)
    for entry, subscription in _subscriptions(project):
        own = events.get(entry.channel.lower(), [])
        queue, job = subscription.queue, subscription.job
        consumers = [consumer for consumer in project.consumers if consumer.queue == queue]
        if not own or job is None or not consumers or queue in project.settings.external_queues:
            continue
        if not any(_handles(consumer, event, job) for consumer in consumers for event in own):
            name = own[0].name
            message = f"the job {job} is never handled: the consumer of the queue {queue} has no handler for {name}"
            fix = f"add @consumer.on({name}) in {consumers[0].location.path}, or remove this subscription"
            yield RawFinding(subscription.location, message, fix)


def _handles(consumer: Consumer, event: Event, job: str) -> bool:
    return any(event.symbol in handler.events and handler.job in {None, job} for handler in consumer.handlers)


def _entries(project: Project) -> Iterator[SubscribedChannel]:
    return (entry for table in project.subscription_maps for entry in table.entries)


def _subscriptions(project: Project) -> Iterator[tuple[SubscribedChannel, Subscription]]:
    return ((entry, subscription) for entry in _entries(project) for subscription in entry.subscriptions)
