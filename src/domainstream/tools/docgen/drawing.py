"""Draws how events flow: from services over channels and queues to what handles the jobs."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from domainstream.tools.docgen.entries import Entry

COLUMNS: Final = ("Service", "Channel", "Queue", "Handler")
WIDTHS: Final = (130, 330, 150, 230)
GAP: Final = 46
"""Between two columns, where the lines are."""

TOP: Final = 26
HEIGHT: Final = 32
PITCH: Final = 42
CHARACTER: Final = 7.3
"""How wide a character is at most, in the units of the drawing."""


class Box(NamedTuple):
    """Something that events go through."""

    column: int
    """The number of its column."""

    name: str
    """Its whole name."""

    label: str
    """Its name as far as it fits."""

    x: int
    """Its left side."""

    y: int
    """Its upper side."""

    width: int
    """Its width."""


class Drawing(NamedTuple):
    """A picture of the flow."""

    width: int
    """Its width."""

    height: int
    """Its height."""

    columns: tuple[tuple[str, int], ...]
    """The headings of the columns, with their left sides."""

    boxes: tuple[Box, ...]
    """What events go through."""

    lines: tuple[str, ...]
    """The paths of the lines between them."""

    summary: str
    """The flow in words, for who does not see it."""


def draw(entries: Iterable[Entry]) -> Drawing:
    """Return a picture of some channels."""
    places: dict[tuple[int, str], int] = {}
    links: dict[tuple[tuple[int, str], tuple[int, str]], None] = {}
    filled = [0] * len(COLUMNS)
    sentences: list[str] = []
    for entry in entries:
        channel = (1, entry.value)
        published = [(0, entry.publisher), channel] if entry.publisher else [channel]
        for chain in (published, *([channel, *path] for path in _paths(entry))):
            for node in chain:
                if node not in places:
                    places[node] = filled[node[0]]
                    filled[node[0]] += 1
            links |= dict.fromkeys(pairwise(chain))
        queues = ", ".join(dict.fromkeys(receiver.queue.queue for receiver in entry.receivers)) or "no queue"
        sentences.append(f"{entry.publisher or 'Nobody'} publishes {entry.value}, which goes to {queues}.")
    boxes = {node: _box(node, row) for node, row in places.items()}
    rows = max((row + 1 for row in places.values()), default=0)
    lefts = [sum(WIDTHS[:number]) + GAP * number for number in range(len(COLUMNS))]
    return Drawing(
        width=lefts[-1] + WIDTHS[-1],
        height=TOP + rows * PITCH,
        columns=tuple(zip(COLUMNS, lefts, strict=True)),
        boxes=tuple(boxes.values()),
        lines=tuple(_line(boxes[start], boxes[end]) for start, end in links),
        summary=" ".join(sentences),
    )


def _paths(entry: Entry) -> list[list[tuple[int, str]]]:
    """Return where a channel's events go, each way on its own; without known functions, a job stands for them."""
    return [
        [(2, receiver.queue.queue), (3, handler)]
        for receiver in entry.receivers
        for handler in receiver.functions or (receiver.queue.job,)
    ]


def _box(node: tuple[int, str], row: int) -> Box:
    column, name = node
    most = int((WIDTHS[column] - 20) / CHARACTER)
    label = name if len(name) <= most else f"{name[: most - 1]}…"
    x = sum(WIDTHS[:column]) + GAP * column
    return Box(column, name, label, x, TOP + row * PITCH, WIDTHS[column])


def _line(start: Box, end: Box) -> str:
    left, right = start.x + start.width, end.x
    y1, y2, middle = start.y + HEIGHT // 2, end.y + HEIGHT // 2, (left + right) // 2
    return f"M{left} {y1}C{middle} {y1} {middle} {y2} {right} {y2}"
