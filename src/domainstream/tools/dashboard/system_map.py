"""The map: which services publish to which channels, which queues get their events, and which handlers take these.

What the code says is drawn as a line. What is only seen on the server, in the newest events and jobs, is dashed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from domainstream.queue.partitions import by_queue
from domainstream.tools.dashboard.drift import Drift
from domainstream.tools.dashboard.facts import ChannelFacts, Facts, QueueFacts
from domainstream.tools.dashboard.map_links import Links, links_of_code, plain_channel
from domainstream.tools.dashboard.notes import LATE_MS, channel_note, per_second, queue_note
from domainstream.tools.dashboard.rendering import path_to, seconds

COLUMNS: Final = ("Services", "Channels", "Queues", "Handlers")
WIDTHS: Final = (150, 290, 170, 230)
GAP: Final = 70
HEIGHT: Final = 44
STEP: Final = 58
TOP: Final = 34

WEIGHTS: Final = (1, 10, 100)
"""From how many events a second on a line is thicker."""


class Edge(Struct, frozen=True, kw_only=True):
    """What leads from one node to another."""

    begin: tuple[int, str]
    """The column and the name of the node that it leads from."""

    end: tuple[int, str]
    """Those of the node that it leads to."""

    is_seen: bool
    """Whether it was only seen on the server, and not found in the code."""


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

    lines: list["Line"]
    """The lines between them."""

    width: int
    """How wide it is."""

    height: int
    """How high it is."""

    has_seen: bool
    """Whether something in it was only seen on the server."""

    drifts: list[Drift]
    """What is not as it should be."""


class Line(Struct, frozen=True, kw_only=True):
    """A line from one box to another."""

    path: str
    """Its path in SVG."""

    is_seen: bool
    """Whether it was only seen on the server."""

    words: str
    """What goes along it now."""

    tone: str
    """`bad`, `warn`, or empty."""

    weight: int
    """How thick it is, from 1 to 4, by how much goes along it."""


class Now(Struct, frozen=True, kw_only=True):
    """What is there now."""

    channels: Sequence[ChannelFacts]
    """The streams."""

    queues: Sequence[QueueFacts]
    """The BullMQ queues."""

    drifts: Sequence[Drift]
    """What is not as it should be."""

    def streams_of(self, channel: str) -> list[ChannelFacts]:
        """Return the streams of a channel: more than one if it has partitions."""
        return [one for one in self.channels if plain_channel(one.channel) == channel]

    def queues_of(self, queue: str) -> list[QueueFacts]:
        """Return the BullMQ queues of a queue."""
        own = by_queue(one.state.queue for one in self.queues).get(queue, [])
        return [one for one in self.queues if one.state.queue in own]

    def drift_of(self, column: int, name: str) -> Drift | None:
        """Return what is wrong with a box; None if nothing is."""
        return next((drift for drift in self.drifts if (drift.column, drift.name) == (column, name)), None)


async def draw_map(facts: Facts, seen: Links, drifts: Sequence[Drift]) -> SystemMap:
    """Return the map of what the code says and of what was `seen`, with what is there now."""
    projects = await facts.project.get()
    code = links_of_code(projects[0]) if projects else Links(published=set(), queued=set(), handled=set())
    now = Now(channels=await facts.channels.get(), queues=await facts.queues.get(), drifts=drifts)
    # A handler's name and its job's name are two words for one thing: the code's is the better one.
    known_queues = {queue for queue, _ in code.handled}
    handled = {pair for pair in seen.handled if pair[0] not in known_queues}
    edges = [
        *_edges(0, code.published, seen.published),
        *_edges(1, code.queued, seen.queued),
        *_edges(2, code.handled, handled),
    ]
    return _drawn(_columns(edges, now), edges, now)


def _edges(column: int, code: set[tuple[str, str]], seen: set[tuple[str, str]]) -> list[Edge]:
    return [
        Edge(begin=(column, begin), end=(column + 1, end), is_seen=(begin, end) not in code)
        for begin, end in sorted(code | seen)
    ]


def _columns(edges: Iterable[Edge], now: Now) -> list[list[str]]:
    """Return the names in each column, in an order in which few lines cross: by what leads to them."""
    found: list[dict[str, None]] = [{}, {}, {}, {}]
    for edge in sorted(edges, key=lambda edge: edge.begin[0]):
        for column, name in (edge.begin, edge.end):
            found[column].setdefault(name)
    for channel in now.channels:
        found[1].setdefault(plain_channel(channel.channel))
    for queue in by_queue(queue.state.queue for queue in now.queues):
        found[2].setdefault(queue)
    columns = [list(names) for names in found]
    for column in (1, 2, 3):
        place = {name: number for number, name in enumerate(columns[column - 1])}
        columns[column].sort(key=lambda name: _mean(name, column, edges, place))
    return columns


def _mean(name: str, column: int, edges: Iterable[Edge], place: dict[str, int]) -> float:
    sources = [place[edge.begin[1]] for edge in edges if edge.end == (column, name)]
    return sum(sources) / len(sources) if sources else float(len(place))


def _drawn(columns: Sequence[Sequence[str]], edges: Iterable[Edge], now: Now) -> SystemMap:
    rows = max(map(len, columns), default=0)
    labels = {name: _label(name, columns[0]) for name in columns[1]}
    nodes = {
        (column, name): _node(column, name, _y(number, len(names), rows), now, labels)
        for column, names in enumerate(columns)
        for number, name in enumerate(names)
    }
    lines = [_line(edge, nodes[edge.begin], nodes[edge.end], now) for edge in edges]
    return SystemMap(
        nodes=list(nodes.values()),
        lines=lines,
        width=left_of(len(COLUMNS)) - GAP + 1,
        height=TOP + rows * STEP,
        has_seen=any(line.is_seen for line in lines),
        drifts=list(now.drifts),
    )


def _line(edge: Edge, begin: Node, end: Node, now: Now) -> Line:
    """Return a line with what goes along it: the rate of the channel, how late its readers are, or what has failed."""
    words, tone, weight = "", "", 1
    column, (_, from_name), (_, to_name) = edge.begin[0], edge.begin, edge.end
    if column < 2:
        streams = now.streams_of(to_name if column == 0 else from_name)
        rate = sum(stream.rate or 0 for stream in streams)
        late = max((stream.oldest_ms or 0 for stream in streams), default=0) if column else 0
        words = per_second(rate) + (f", {seconds(late)} behind" if column else "")
        tone = "warn" if late >= LATE_MS else ""
        weight = 1 + sum(rate >= step for step in WEIGHTS)
    else:
        failed = sum(queue.state.failed for queue in now.queues_of(from_name))
        words, tone = f"{failed:,} failed", "bad" if failed else ""
    return Line(
        path=_path(begin, end),
        is_seen=edge.is_seen,
        words=f"{begin.label} → {end.label}: {words}",
        tone=tone,
        weight=weight,
    )


def _y(number: int, names: int, rows: int) -> int:
    return TOP + number * STEP + (rows - names) * STEP // 2


def _label(channel: str, services: Iterable[str]) -> str:
    """Return a channel's name without `domain_` and the service that publishes it."""
    for service in services:
        if channel.startswith(start := f"domain_{service}_"):
            return channel.removeprefix(start)
    return channel


def _node(column: int, name: str, y: int, now: Now, labels: Mapping[str, str]) -> Node:
    note, tone, path, live = "", "", "", ""
    if column == 1:
        streams = now.streams_of(name)
        note, tone = channel_note(streams)
        path = _path_to("channels", [stream.channel for stream in streams])
        live = f"channel:{streams[0].channel}" if len(streams) == 1 else ""
    elif column == 2:
        queues = now.queues_of(name)
        note, tone = queue_note(queues)
        path = _path_to("queues", [queue.state.queue for queue in queues])
        live = f"queue:{queues[0].state.queue}" if len(queues) == 1 else ""
    if drift := now.drift_of(column, name):
        note, tone, live = drift.note, "bad", ""
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
