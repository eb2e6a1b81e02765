"""The entries of the catalogue as the code of a system describes them. It is read, not imported."""

from functools import lru_cache

from domainstream.tools.check.model.flow import Order
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.contract import published_events
from domainstream.tools.check.snapshots import named_shapes, snapshot_of
from domainstream.tools.docgen.contract_schemas import schemas_of_snapshot
from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.entries import Entry, Message, Receiver, tables_of
from domainstream.tools.docgen.handlers import handler_names, names_of
from domainstream.tools.docgen.source_docstrings import SourceDocstrings
from domainstream.tools.docgen.system import JobOrder, QueueHandler

_KEYS = {"AGGREGATE": "the aggregate's id", "PARTITION_KEY": "the partition key, or the aggregate's id"}


@lru_cache(maxsize=1)
def entries_of(project: Project) -> tuple[Entry, ...]:
    """Return every channel of a system, sorted by its value; without examples, which only running the code gives."""
    published = {event.event_type: event for event in published_events(project)}
    names, queues, docstrings = handler_names(project), _queues(project), SourceDocstrings(project.root)
    entries: list[Entry] = []
    for channel in {channel.value: channel for channel in project.channel_by_name.values() if channel.value}.values():
        value = channel.value or ""
        event = published.get(value)
        messages: list[Message] = []
        if event is not None and (snapshot := snapshot_of(event, project)) is not None:
            payload, components = schemas_of_snapshot(snapshot)
            docstrings.describe(named_shapes(project.shapes[event.payload or ""], project.shapes), components)
            tables = tuple(tables_of(payload, components))
            description = parse_docstring(docstrings.at(event.location)).description
            messages.append(Message(event.name, snapshot.version, description, tables, None))
        receivers = tuple(
            Receiver(queue, names_of(names, value, queue.queue, queue.job))
            for queue in sorted(queues.get(channel.name, ()), key=lambda one: (one.queue, one.job))
        )
        partitions = project.partitions.get(value) or 1
        entries.append(Entry(value, event.service if event else None, receivers, tuple(messages), partitions))
    return tuple(sorted(entries, key=lambda entry: entry.value))


def _queues(project: Project) -> dict[str, list[QueueHandler]]:
    """Return the queues that are subscribed to each channel, by its name."""
    found: dict[str, list[QueueHandler]] = {}
    for table in project.subscription_maps:
        for entry in table.entries:
            for one in entry.subscriptions:
                if one.queue and one.job:
                    order = _order(one.order) if one.order else None
                    queue = QueueHandler(one.queue, one.job, one.partitions or 1, order)
                    found.setdefault(entry.channel, []).append(queue)
    return found


def _order(order: Order) -> JobOrder:
    name = (order.by or "").rpartition(".")[2]
    by = _KEYS.get(name, name if name.isidentifier() else "a function of the event")
    return JobOrder(by, "skip" if order.on_failure == "skip" else "hold")
