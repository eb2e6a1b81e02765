"""How long `domainstream check` takes on a generated monorepo, and on one of twice the size.

`python -m benchmarks.checking`. Wall time of the whole command, interpreter start included; the best of several runs,
the first of which fills the file cache.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

EVENTS_PER_SERVICE: Final = 20
EVENTS_PER_AGGREGATE: Final = 5
LINES_PER_SERVICE: Final = 4_000
LINES_PER_FILE: Final = 200
WANTED_SECONDS: Final = 1.0
WANTED_GROWTH: Final = 9.0
"""How much longer four times the services may take: comparing all with all would take sixteen times as long."""
RUNS: Final = 5

EVENT: Final = '''

class {event}Payload(EventPayload):
    """What others need to know.

    Attributes:
        item_id: The item.

        amount: How much of it.

        note: A remark.

        tags: What it is filed under.
    """

    item_id: str
    amount: int
    note: str | None = None
    tags: tuple[str, ...] = ()


@final
class {event}(BaseEvent[{event}Payload]):
    """It happened."""

    event_type = {aggregate}EventType.{channel}
'''

FILLER: Final = '''

def weigh_{number}(items: Sequence[Item], *, limit: int = {number}) -> list[Item]:
    """Return the items that are heavy enough, the heaviest first."""
    heavy = [item for item in items if item.weight > limit and item.amount]
    for item in heavy:
        if item.weight > limit * 2:
            log.info("item %s is %d over the limit", item.item_id, item.weight - limit)
    return sorted(heavy, key=lambda item: item.weight, reverse=True)
'''


def service_name(number: int) -> str:
    """Return a service's name: one word, as channels without `services=` have it."""
    return f"service{number}"


def write_monorepo(root: Path, services: int) -> int:
    """Write a clean monorepo and return how many lines it has."""
    names = [service_name(number) for number in range(services)]
    contracts = root / "packages/contracts/src/contracts"
    _write(contracts / "event_publisher_channels.py", _channels(names))
    _write(contracts / "subscriptions.py", _subscriptions(names))
    for before, name in zip([names[-1], *names], names, strict=False):
        _write_service(root / f"services/{name}/src/{name}", name, before=before)
    return sum(path.read_text().count("\n") for path in root.rglob("*.py"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _events(service: str) -> list[tuple[str, str, str]]:
    """Return aggregate, class and channel of each event."""
    found = []
    for number in range(EVENTS_PER_SERVICE):
        aggregate = f"part{number // EVENTS_PER_AGGREGATE}"
        channel = f"DOMAIN_{service}_{aggregate}_STEP{number}_DONE".upper()
        found.append((aggregate, f"{aggregate.title()}Step{number}Done", channel))
    return found


def _channels(services: list[str]) -> str:
    members = [f"    {channel} = {channel.lower()!r}" for name in services for _, _, channel in _events(name)]
    aggregates = tuple(dict.fromkeys(aggregate for aggregate, _, _ in _events("")))
    known = "\n".join(f"    {name!r}: {aggregates!r}," for name in services)
    return "\n".join(
        [
            '"""Every channel."""\n\nfrom domainstream import EventPublisherChannel\n',
            f"SERVICES = {{\n{known}\n}}\n\n",
            "class Channel(EventPublisherChannel, services=SERVICES):",
            *members,
            "",
        ]
    )


def _subscriptions(services: list[str]) -> str:
    lines = []
    for number, name in enumerate(services):
        listener = services[(number + 1) % len(services)]
        lines += [
            f'        Channel.{channel}: [\n            to_queue("{listener}", job="do-{event.lower()}"),\n        ],'
            for _, event, channel in _events(name)
        ]
    return "\n".join(
        [
            '"""Who listens."""\n\nfrom contracts.event_publisher_channels import Channel',
            "from domainstream.subscriber import create_multiple_handlers, to_queue\n",
            "subscriptions = create_multiple_handlers(\n    {",
            *lines,
            "    }\n)\n",
        ]
    )


def _write_service(folder: Path, name: str, *, before: str) -> None:
    for aggregate in dict.fromkeys(aggregate for aggregate, _, _ in _events(name)):
        own = [(event, channel) for other, event, channel in _events(name) if other == aggregate]
        _write(folder / f"domain_layer/{aggregate}/{aggregate}_events.py", _event_file(aggregate, own))
    _write(folder / f"domain_layer/{name}_domain_event.py", _union(name))
    producer = folder / f"infrastructure_layer/events/{name}_event_producer"
    _write(producer / f"{name}_event_producer_mapper.py", _mapper(name))
    _write(folder / f"infrastructure_layer/consumers/{name}_consumer.py", _consumer(name, before))
    written = sum(path.read_text().count("\n") for path in folder.rglob("*.py"))
    for number in range((LINES_PER_SERVICE - written) // LINES_PER_FILE):
        layer = ("domain_layer/part0", "application_layer", "infrastructure_layer/persistence")[number % 3]
        _write(folder / layer / f"weights_{number}.py", _filler())


def _event_file(aggregate: str, events: list[tuple[str, str]]) -> str:
    title = aggregate.title()
    types = "\n".join(f"    {channel} = {channel.lower()!r}" for _, channel in events)
    head = '"""What happens."""\n\nfrom enum import StrEnum\nfrom typing import final\n\n'
    imports = "from domainstream import BaseEvent, EventPayload\n\n\n"
    enum = f'class {title}EventType(StrEnum):\n    """Types."""\n\n{types}\n'
    bodies = [EVENT.format(event=event, aggregate=title, channel=channel) for event, channel in events]
    return head + imports + enum + "".join(bodies)


def _imports(name: str) -> str:
    return "\n".join(
        f"from {name}.domain_layer.{aggregate}.{aggregate}_events import {event}"
        for aggregate, event, _ in _events(name)
    )


def _union(name: str) -> str:
    classes = " | ".join(event for _, event, _ in _events(name))
    head = f'"""Every event."""\n\nfrom typing import TypeAlias\n\n{_imports(name)}\n\n'
    return f"{head}{_union_name(name)}: TypeAlias = {classes}\n"


def _union_name(name: str) -> str:
    return f"{name.title()}DomainEvent"


def _mapper(name: str) -> str:
    cases = "".join(
        f"        case {event}():\n            return Channel.{channel}\n" for _, event, channel in _events(name)
    )
    return (
        f'"""Which event goes where."""\n\nfrom typing import assert_never\n\n{_imports(name)}\n'
        "from contracts.event_publisher_channels import Channel\n"
        f"from {name}.domain_layer.{name}_domain_event import {_union_name(name)}\n\n\n"
        f"def channel_for(event: {_union_name(name)}) -> Channel | None:\n    match event:\n{cases}"
        "        case _:\n            assert_never(event)\n"
    )


def _consumer(name: str, before: str) -> str:
    """Return the handlers of what the service `before` this one publishes."""
    handlers = "".join(
        f"\n\n@consumer.on({event})\nasync def do_{event.lower()}(event: {event}, context: EventContext) -> None:\n"
        f'    log.info("%s [%s]", event.payload.item_id, context.correlation_id)\n'
        for _, event, _ in _events(before)
    )
    head = f'"""What {name} does."""\n\nimport logging\n\n{_imports(before)}\n'
    middle = "from domainstream.worker import EventConsumer, EventContext\n\nlog = logging.getLogger(__name__)\n"
    return f'{head}{middle}\nconsumer = EventConsumer("{name}")\n{handlers}'


def _filler() -> str:
    head = '"""Weighs items."""\n\nimport logging\nfrom collections.abc import Sequence\n\n'
    log = "log = logging.getLogger(__name__)\n"
    functions = (FILLER.format(number=number) for number in range(LINES_PER_FILE // FILLER.count("\n")))
    return head + log + "".join(functions)


def seconds_of(root: Path) -> tuple[float, str]:
    """Return how long the command takes and what it says."""
    best, said = float("inf"), ""
    for _ in range(RUNS):
        start = perf_counter()
        command = [sys.executable, "-m", "domainstream", "check", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very program
        best, said = min(best, perf_counter() - start), (done.stdout + done.stderr).strip()
    return best, said


def run(services: int) -> float:
    """Measure one size, print a line, and return the seconds."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        lines = write_monorepo(root, services)
        seconds, said = seconds_of(root)
    events = services * EVENTS_PER_SERVICE
    print(f"{services:>4} services {events:>6} events {lines:>8} lines {seconds:>7.3f} s   {said.splitlines()[-1]}")
    return seconds


def main() -> int:
    """Measure the promised size, a quarter and twice of it; exit 1 when time or growth is above the promise."""
    quarter, once, twice = run(50 // 4), run(50), run(100)
    print(f"twice the size takes {twice / once:.2f} times as long")
    return 0 if once < WANTED_SECONDS and once < WANTED_GROWTH * quarter else 1


if __name__ == "__main__":
    sys.exit(main())
