"""The map: which services publish to which channels, which queues get their events, and which handlers take these.

What the code says is drawn as a line. What is only seen on the server, in the newest events and jobs, is dashed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from domainstream.queue.partitions import by_queue
from domainstream.tools.check.model.project import Project
from domainstream.tools.dashboard.facts import ChannelFacts, Facts, QueueFacts
from domainstream.tools.dashboard.notes import channel_note, queue_note
from domainstream.tools.dashboard.rendering import path_to
from domainstream.tools.dashboard.story import Handling
from domainstream.tools.failures import message_of

SEEN: Final = 20
"""How many of the newest entries of a stream, and of the newest jobs of a queue in each state, are looked at."""

SERVICES: Final = "/services/"
"""What a service's name has in front of it in the source of an event."""

STATES: Final = ("completed", "failed", "wait")

COLUMNS: Final = ("Services", "Channels", "Queues", "Handlers")
WIDTHS: Final = (150, 290, 170, 230)
GAP: Final = 70
HEIGHT: Final = 44
STEP: Final = 58
TOP: Final = 34


class Edge(Struct, frozen=True, kw_only=True):
    """What leads from one node to another."""

    begin: tuple[int, str]
    """The column and the name of the node that it leads from."""

    end: tuple[int, str]
    """Those of the node that it leads to."""

    is_seen: bool
    """Whether it was only seen on the server, and not found in the code."""


class Links(Struct, frozen=True, kw_only=True):
    """What leads where, each as a pair of names."""

    published: set[tuple[str, str]]
    """Services and the channels that they publish to."""

    queued: set[tuple[str, str]]
    """Channels and the queues that get their events."""

    handled: set[tuple[str, str]]
    """Queues and the names of what handles their jobs."""


class Node(Struct, frozen=True, kw_only=True):
    """A box of the map."""

    column: int
    """Its column."""

    name: str
    """What it is."""

    label: str
    """What is written in the box: a channel's name without what the lines say already."""

    note: str
    """What is there now, in words; empty if nothing is known."""

    tone: str
    """`bad`, `warn`, or empty."""

    path: str
    """The page that shows it; empty without one."""

    live: str
    """What names its note among what changes while a page is open; empty if it is made of several."""

    x: int
    """Where its left edge is."""

    y: int
    """Where its upper edge is."""


class SystemMap(Struct, frozen=True, kw_only=True):
    """The map as it is drawn."""

    nodes: list[Node]
    """The boxes."""

    edges: list[tuple[str, bool]]
    """The lines, as paths of SVG, and whether each was only seen."""

    width: int
    """How wide it is."""

    height: int
    """How high it is."""

    has_seen: bool
    """Whether something in it was only seen on the server."""


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


async def draw_map(facts: Facts, seen: Links) -> SystemMap:
    """Return the map of what the code says and of what was `seen`, with what is there now."""
    projects = await facts.project.get()
    code = links_of_code(projects[0]) if projects else Links(published=set(), queued=set(), handled=set())
    channels, queues = await facts.channels.get(), await facts.queues.get()
    # A handler's name and its job's name are two words for one thing: the code's is the better one.
    known_queues = {queue for queue, _ in code.handled}
    handled = {pair for pair in seen.handled if pair[0] not in known_queues}
    edges = [
        *_edges(0, code.published, seen.published),
        *_edges(1, code.queued, seen.queued),
        *_edges(2, code.handled, handled),
    ]
    columns = _columns(edges, channels, queues)
    return _drawn(columns, edges, channels, queues)


def plain_channel(channel: str) -> str:
    """Return the channel that a stream belongs to: `domain_x` for its partition `domain_x:p3`."""
    return channel.partition(":p")[0]


def _edges(column: int, code: set[tuple[str, str]], seen: set[tuple[str, str]]) -> list[Edge]:
    return [
        Edge(begin=(column, begin), end=(column + 1, end), is_seen=(begin, end) not in code)
        for begin, end in sorted(code | seen)
    ]


def _columns(edges: Iterable[Edge], channels: Sequence[ChannelFacts], queues: Sequence[QueueFacts]) -> list[list[str]]:
    """Return the names in each column, in an order in which few lines cross: by what leads to them."""
    found: list[dict[str, None]] = [{}, {}, {}, {}]
    for edge in sorted(edges, key=lambda edge: edge.begin[0]):
        for column, name in (edge.begin, edge.end):
            found[column].setdefault(name)
    for channel in channels:
        found[1].setdefault(plain_channel(channel.channel))
    for queue in by_queue(queue.state.queue for queue in queues):
        found[2].setdefault(queue)
    columns = [list(names) for names in found]
    for column in (1, 2, 3):
        place = {name: number for number, name in enumerate(columns[column - 1])}
        columns[column].sort(key=lambda name: _mean(name, column, edges, place))
    return columns


def _mean(name: str, column: int, edges: Iterable[Edge], place: dict[str, int]) -> float:
    sources = [place[edge.begin[1]] for edge in edges if edge.end == (column, name)]
    return sum(sources) / len(sources) if sources else float(len(place))


def _drawn(
    columns: Sequence[Sequence[str]],
    edges: Iterable[Edge],
    channels: Sequence[ChannelFacts],
    queues: Sequence[QueueFacts],
) -> SystemMap:
    rows = max(map(len, columns), default=0)
    labels = {name: _label(name, columns[0]) for name in columns[1]}
    nodes = {
        (column, name): _node(column, name, _y(number, len(names), rows), channels, queues, labels)
        for column, names in enumerate(columns)
        for number, name in enumerate(names)
    }
    paths = [(_path(nodes[edge.begin], nodes[edge.end]), edge.is_seen) for edge in edges]
    return SystemMap(
        nodes=list(nodes.values()),
        edges=paths,
        width=left_of(len(COLUMNS)) - GAP + 1,
        height=TOP + rows * STEP,
        has_seen=any(is_seen for _, is_seen in paths),
    )


def _y(number: int, names: int, rows: int) -> int:
    return TOP + number * STEP + (rows - names) * STEP // 2


def _label(channel: str, services: Iterable[str]) -> str:
    """Return a channel's name without `domain_` and the service that publishes it."""
    for service in services:
        if channel.startswith(start := f"domain_{service}_"):
            return channel.removeprefix(start)
    return channel


def _node(
    column: int,
    name: str,
    y: int,
    channels: Sequence[ChannelFacts],
    queues: Sequence[QueueFacts],
    labels: Mapping[str, str],
) -> Node:
    note, tone, path, live = "", "", "", ""
    if column == 1:
        streams = [one for one in channels if plain_channel(one.channel) == name]
        note, tone = channel_note(streams)
        path = _path_to("channels", [stream.channel for stream in streams])
        live = f"channel:{streams[0].channel}" if len(streams) == 1 else ""
    elif column == 2:
        own = by_queue(queue.state.queue for queue in queues).get(name, [])
        note, tone = queue_note([queue for queue in queues if queue.state.queue in own])
        path = _path_to("queues", own)
        live = f"queue:{own[0]}" if len(own) == 1 else ""
    label = labels[name] if column == 1 else name
    return Node(
        column=column, name=name, label=label, note=note, tone=tone, path=path, live=live, x=left_of(column), y=y
    )


def left_of(column: int) -> int:
    """Return where the left edge of a column is."""
    return 1 + sum(WIDTHS[:column]) + GAP * column


def _path_to(pages: str, names: Sequence[str]) -> str:
    """Return the page of the only one, or the list of pages where a channel or queue has partitions."""
    return path_to(pages, *names) if len(names) == 1 else path_to(pages) if names else ""


def _path(begin: Node, end: Node) -> str:
    """Return a line from the right of one box to the left of another."""
    x1, y1, x2, y2 = begin.x + WIDTHS[begin.column], begin.y + HEIGHT // 2, end.x, end.y + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
