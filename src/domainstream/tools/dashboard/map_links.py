"""What leads where: from services over channels and queues to handlers, by the code and by what the server shows."""

from typing import Final

from msgspec import Struct

from domainstream.queue.partitions import by_queue
from domainstream.tools.check.model.project import Project
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.failures import message_of

SEEN: Final = 20
"""How many of the newest entries of a stream, and of the newest jobs of a queue in each state, are looked at."""

SERVICES: Final = "/services/"
"""What a service's name has in front of it in the source of an event."""

STATES: Final = ("completed", "failed", "wait")


class Handling(Struct, frozen=True, kw_only=True):
    """A queue and the name of the jobs that it gets for the events of a channel."""

    queue: str
    """The queue's name."""

    job: str
    """The jobs' name."""


class Links(Struct, frozen=True, kw_only=True):
    """What leads where, each as a pair of names."""

    published: set[tuple[str, str]]
    """Services and the channels that they publish to."""

    queued: set[tuple[str, str]]
    """Channels and the queues that get their events."""

    handled: set[tuple[str, str]]
    """Queues and the names of what handles their jobs."""


def links_of_code(project: Project) -> Links:
    """Return what the code of a system says."""
    values = {name: channel.value for name, channel in project.channel_by_name.items() if channel.value}
    handled = {
        (consumer.queue, handler.name)
        for consumer in project.consumers
        if consumer.queue
        for handler in consumer.handlers
    }
    return Links(
        published={
            (mapper.service, values[outcome.channel])
            for mapper in project.mappers
            for case in mapper.cases
            for outcome in case.outcomes
            if outcome.channel in values and outcome.channel is not None
        },
        queued={(channel, one.queue) for channel, handlings in expected_jobs(project).items() for one in handlings},
        handled=handled,
    )


def expected_jobs(project: Project) -> dict[str, list[Handling]]:
    """Return which jobs the events of each channel become, by the channel's value."""
    values = {name: channel.value for name, channel in project.channel_by_name.items() if channel.value}
    expected: dict[str, list[Handling]] = {}
    for found in project.subscription_maps:
        for entry in found.entries:
            for one in entry.subscriptions:
                if one.queue and one.job and entry.channel in values:
                    handling = Handling(queue=one.queue, job=one.job)
                    expected.setdefault(values[entry.channel], []).append(handling)
    return expected


async def links_on_server(facts: Facts) -> Links:
    """Return what the newest events and jobs show."""
    links = Links(published=set(), queued=set(), handled=set())
    names = await facts.names.get()
    for channel in names.channels:
        for delivery in await facts.server.streams.latest(channel, SEEN):
            if message := message_of(delivery):
                links.published.add((message.source.removeprefix(SERVICES), plain_channel(channel)))
    for queue, partitions in by_queue(names.queues).items():
        for state in STATES:
            for job in await facts.newest_jobs(partitions[0], state, count=SEEN):
                if message := message_of(job):
                    links.queued.add((message.type, queue))
                    links.handled.add((queue, job.name))
    return links


def plain_channel(channel: str) -> str:
    """Return the channel that a stream belongs to: `domain_x` for its partition `domain_x:p3`."""
    return channel.partition(":p")[0]
