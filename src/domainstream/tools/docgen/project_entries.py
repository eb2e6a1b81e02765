"""The entries of the catalogue as the code of a system describes them. It is read, not imported."""

from collections.abc import Iterator

from domainstream.tools.check.model.flow import Order
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.contract import published_events
from domainstream.tools.check.snapshots import snapshot_of
from domainstream.tools.docgen.contract_schemas import schemas_of_snapshot
from domainstream.tools.docgen.entries import Entry, Message, Receiver, tables_of
from domainstream.tools.docgen.handlers import handler_names, names_of
from domainstream.tools.docgen.system import JobOrder, QueueHandler

_KEYS = {"AGGREGATE": "the aggregate's id", "PARTITION_KEY": "the partition key, or the aggregate's id"}


def entries_of(project: Project) -> list[Entry]:
    """Return every channel of a system, sorted by its value; without descriptions and examples."""
    published = {event.event_type: event for event in published_events(project)}
    names = handler_names(project)
    entries = []
    for channel in {channel.value: channel for channel in project.channel_by_name.values() if channel.value}.values():
        value = channel.value or ""
        event = published.get(value)
        messages: list[Message] = []
        if event is not None and (snapshot := snapshot_of(event, project)) is not None:
            payload, components = schemas_of_snapshot(snapshot)
            tables = tuple(tables_of(payload, components))
            messages.append(Message(event.name, snapshot.version, "", tables, None))
        receivers = tuple(
            Receiver(queue, names_of(names, value, queue.queue, queue.job))
            for queue in sorted(_queues(project, channel.name), key=lambda one: (one.queue, one.job))
        )
        partitions = project.partitions.get(value) or 1
        entries.append(Entry(value, event.service if event else None, receivers, tuple(messages), partitions))
    return sorted(entries, key=lambda entry: entry.value)


def _queues(project: Project, channel: str) -> Iterator[QueueHandler]:
    for found in project.subscription_maps:
        for entry in found.entries:
            for one in entry.subscriptions if entry.channel == channel else ():
                if one.queue and one.job:
                    yield QueueHandler(one.queue, one.job, one.partitions or 1, one.order and _order(one.order))


def _order(order: Order) -> JobOrder:
    name = (order.by or "").rpartition(".")[2]
    by = _KEYS.get(name, name if name.isidentifier() else "a function of the event")
    return JobOrder(by, "skip" if order.on_failure == "skip" else "hold")
