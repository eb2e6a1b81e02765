"""The page docs/how-to/change-an-event.md, executed from its first command to its last."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from types import new_class
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from support.checking import files_in
from support.handling import received

from domainstream.cli.main import cli
from domainstream.errors import EventDecodingError
from domainstream.event import EventDecoder, EventEncoder
from domainstream.tools.check import check_project
from domainstream.worker import EventConsumer, EventContext
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import Completed, Waiting

PAGES = Path(__file__).parents[4] / "docs/how-to"
TEXT = (PAGES / "change-an-event.md").read_text(encoding="utf-8")
EVENTS = "services/coding/src/coding/domain_layer/stay/stay_events.py"
PAYLOADS: list[dict[str, Any]] = [
    {"stay_id": "stay-1", "codes": ["I21.0", "E11"], "ward": "west"},
    {"stay_id": "stay-1", "codes": ["I21.0", "E11"], "ward": "west", "nights": 3},
    {"stay_id": "stay-1", "codes": ["I21.0", "E11"], "unit": "west", "nights": 3},
    {"stay_id": "stay-1", "main_code": "I21.0", "other_codes": ["E11"], "unit": "west", "nights": 3},
    {"stay_id": "stay-1", "main_code": "I21.0", "other_codes": ["E11"], "unit": "west"},
]
"""The same stay, as each state of the page's event says it."""


class Walk(NamedTuple):
    """What was found on the way through the page."""

    root: Path
    """The project at the end."""

    classes: list[Any]
    """The event's class of each snapshot."""

    outputs: list[tuple[str, str]]
    """What the page shows as output, and what was printed."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield language and content of each block."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    """Return the arguments of the commands of a console block, without `domainstream`."""
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("domainstream ")]


def run(root: Path, arguments: list[str]) -> str:
    """Run a command in a project and return its output; only `check` may fail."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0 or arguments == ["check"], result.output
    return result.output


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Follow the page: run its commands and apply its diffs, in the project of the page before."""
    folder = tmp_path_factory.mktemp("change")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        before = [command for kind, block in blocks(tour()) if kind == "console" for command in commands(block)]
        for command in before:
            if command[0] == "new":
                run(folder, command)
                patch.chdir(folder / "clinic")
        yield follow(folder / "clinic")


def tour() -> str:
    """Return the part of the page before that makes a project."""
    return (PAGES / "add-a-publisher.md").read_text(encoding="utf-8").partition("## The command")[0]


def follow(root: Path) -> Walk:
    """Execute the page's blocks in a project, which is the current folder."""
    walk = Walk(root, [], [])
    printed = ""
    for kind, block in blocks(TEXT):
        if kind == "console":
            printed = ""
            for command in commands(block):
                printed = run(root, command)
                if command[:2] == ["schema", "snapshot"]:
                    walk.classes.append(run_path(str(root / EVENTS))["StayCoded"])
        elif kind == "diff":
            applied = subprocess.run(
                ["git", "apply", "-"], cwd=root, input=block, text=True, check=False, capture_output=True
            )
            assert applied.returncode == 0, applied.stderr
        elif kind == "text":
            walk.outputs.append((block, printed))
    return walk


def test_outputs_are_as_shown(walk: Walk) -> None:
    """Every command of the page prints what the page shows."""
    assert [printed for _, printed in walk.outputs] == [shown for shown, _ in walk.outputs]
    assert [re.findall(r"DS\d+", shown) for shown, _ in walk.outputs] == [[], ["DS601"], ["DS703"]]


def test_page_ends_with_a_clean_system(walk: Walk) -> None:
    """The page ends with a clean system whose event has version 4."""
    assert check_project(walk.root) == []
    assert [event.version for event in walk.classes[:5]] == [1, 1, 2, 3, 4]


def test_reader_is_written_as_shown(walk: Walk) -> None:
    """The class that `new reader` writes is the one that the page shows."""
    ((path, shown),) = files_in(TEXT).items()
    assert (walk.root / path).read_text() == shown


def sent(event_class: Any, payload: dict[str, Any]) -> Any:
    """Return an event of one state of the page."""
    payload_type = event_class.__orig_bases__[0].__args__[0]
    return event_class(aggregate_id="stay-1", payload=payload_type(**payload))


@pytest.mark.parametrize("state", range(5))
def test_message_of_every_state_is_read_by_the_last_class(walk: Walk, state: int) -> None:
    """A message that was published at any time of the page is read by the class at its end, with the same facts."""
    data = EventEncoder("coding").encode(sent(walk.classes[state], PAYLOADS[state]))
    read: Any = EventDecoder([walk.classes[4]]).decode(data)
    assert {name: getattr(read.payload, name) for name in PAYLOADS[4]} == PAYLOADS[4]


def test_message_of_an_old_version_needs_its_upcaster(walk: Walk) -> None:
    """Without the upcasters of the page, the same message is refused: the control."""
    last = walk.classes[4]
    attributes = {"event_type": last.event_type, "version": 4}
    bare = new_class("StayCoded", (last.__orig_bases__[0],), {}, lambda fields: fields.update(attributes))
    with pytest.raises(EventDecodingError, match="no upcaster from version 1 to 4"):
        EventDecoder([bare]).decode(EventEncoder("coding").encode(sent(walk.classes[0], PAYLOADS[0])))


@pytest.mark.parametrize(("older", "newer", "waits"), [(0, 1, False), (0, 2, True), (2, 4, True), (3, 4, True)])
async def test_older_consumer_waits_for_a_newer_version(walk: Walk, older: int, newer: int, *, waits: bool) -> None:
    """A consumer that is older than the producer handles messages of its own version, and lets newer ones wait."""
    consumer = EventConsumer("valuation")

    async def price_stay(event: Any, context: EventContext) -> None:
        """Do nothing."""

    consumer.on(walk.classes[older])(price_stay)
    result = await AttemptRunner(consumer)(received(sent(walk.classes[newer], PAYLOADS[newer])))
    assert type(result) is (Waiting if waits else Completed)
