"""Where the server and the code of the system differ, or where nobody does the work: what the map shows in red."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from domainstream.queue.partitions import by_queue
from domainstream.tools.check.model.project import Project
from domainstream.tools.common.formatting import plural
from domainstream.tools.dashboard.contracts import InFlight, contracts_of
from domainstream.tools.dashboard.facts import ChannelFacts, QueueFacts
from domainstream.tools.dashboard.map_links import plain_channel

CHANNELS, QUEUES = 1, 2
"""The columns of the map."""


class Drift(Struct, frozen=True, kw_only=True):
    """Something that is not as it should be."""

    column: int
    """The column of the box that it is about."""

    name: str
    """The name of that box."""

    note: str
    """What is wrong, in the box."""

    words: str
    """What is wrong, and what to do."""


def unknown_channels(project: Project, channels: Sequence[ChannelFacts]) -> Iterator[Drift]:
    """Yield the channels that have a stream, and are not in the code."""
    known = {channel.value for channel in project.channel_by_name.values()}
    for name in sorted({plain_channel(channel.channel) for channel in channels} - known):
        yield Drift(
            column=CHANNELS,
            name=name,
            note="not in the code",
            words=f"{name} is on the server, and the code that this page reads has no such channel: it is another "
            "version of the code, or the channel was removed and its stream was not.",
        )


def newer_versions(project: Project, in_flight: InFlight) -> Iterator[Drift]:
    """Yield the channels whose events are ahead of the code, or can be read by it no more."""
    for contract in contracts_of(project, in_flight):
        for one in contract.alarming:
            ahead = one.status == "ahead"
            what = "does not know yet: its workers leave such jobs waiting. Deploy the consumers."
            yield Drift(
                column=CHANNELS,
                name=contract.entry.value,
                note=f"version {one.version} is {'ahead' if ahead else 'unreadable'}",
                words=f"{contract.entry.value} has events of version {one.version}, which the code of this page "
                + (what if ahead else "can read no more. Add an upcaster."),
            )


def idle_queues(
    queues: Sequence[QueueFacts], subscribed: Collection[str], workers: Mapping[str, int] | None
) -> Iterator[Drift]:
    """Yield the queues that get jobs and have no worker; `workers` is None where connections cannot be listed."""
    states = {queue.state.queue: queue.state for queue in queues}
    for name, partitions in by_queue(states).items():
        own = [states[partition] for partition in partitions]
        if workers is None or any(state.is_paused for state in own) or name not in subscribed:
            continue
        if not any(workers.get(partition) for partition in partitions):
            jobs = sum(state.waiting + state.delayed + state.prioritized + state.waiting_children for state in own)
            yield Drift(
                column=QUEUES,
                name=name,
                note="no worker",
                words=f"{name} has no worker, and {plural(jobs, 'job')} not done. To start one of Python, run: "
                "domainstream run worker MODULE:CONSUMER",
            )
