"""Names under which files import what `check` looks for: it follows them, as Python does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.checking import CHANNELS, CONSUMER, EVENTS, MAPPER, SUBSCRIPTIONS, UNION, small_system, write_system

from domainstream.tools.check import check_project

Files = dict[str, str]
TOOLS = "packages/contracts/src/contracts/tools.py"


def edit(path: str, *changes: tuple[str, str], more: Files | None = None) -> Callable[[Files], Files]:
    """Return what replaces parts of one file, each of which must be there, and adds files."""

    def change(files: Files) -> Files:
        text = files[path]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return files | {path: text} | (more or {})

    return change


NEVER = ("assert_never(event)", "never(event)")
FINAL = ("@final", "@sealed")
FROM_TOOLS = ("from domainstream.subscriber import create_multiple_handlers", "from contracts.tools import listing")
ALIASES: dict[str, Callable[[Files], Files]] = {
    "assert_never as never": edit(MAPPER, NEVER, ("import assert_never", "import assert_never as never")),
    "assert_never of typing_extensions": edit(MAPPER, ("from typing import", "from typing_extensions import")),
    "assert_never by its module": edit(
        MAPPER,
        ("from typing import assert_never", "import typing as t"),
        ("assert_never(event)", "t.assert_never(event)"),
    ),
    "assert_never in a variable": edit(MAPPER, NEVER, ("\n\n\ndef", "\n\nnever = assert_never\n\n\ndef")),
    "assert_never by another file": edit(
        MAPPER,
        NEVER,
        ("from typing import assert_never", "from contracts.tools import never"),
        more={TOOLS: "from typing_extensions import assert_never as never\n"},
    ),
    "assert_never in a conditional import": edit(
        MAPPER,
        NEVER,
        (
            "from typing import assert_never",
            (
                "try:\n    from typing import assert_never as never\n"
                "except ImportError:\n    from typing_extensions import assert_never as never"
            ),
        ),
    ),
    "wildcard with a name": edit(MAPPER, ("case _:", "case _ as rest:"), ("assert_never(event)", "assert_never(rest)")),
    "wildcard in an alternative": edit(MAPPER, ("case _:", "case str() | _:")),
    "match without a space": edit(MAPPER, ("match event:", "match(event):")),
    "channels as C": edit(
        MAPPER, ("import Channel", "import Channel as C"), (" Channel.", " C."), ("-> Channel", "-> C")
    ),
    "channels by another file": edit(
        MAPPER,
        ("from contracts.event_publisher_channels import Channel", "from contracts.tools import C"),
        (" Channel.", " C."),
        ("-> Channel", "-> C"),
        more={TOOLS: "from contracts.event_publisher_channels import Channel as C\n"},
    ),
    "BaseEvent as Event": edit(EVENTS, ("import BaseEvent", "import BaseEvent as Event"), ("(BaseEvent[", "(Event[")),
    "BaseEvent in a variable": edit(
        EVENTS, ("\n\n\n@final", "\n\n\nEvent = BaseEvent\n\n\n@final"), ("(BaseEvent[", "(Event[")
    ),
    "BaseEvent by another file": edit(
        EVENTS,
        (
            "from domainstream import BaseEvent, EventPayload",
            "from domainstream import EventPayload\nfrom contracts.tools import Event",
        ),
        ("(BaseEvent[", "(Event["),
        more={TOOLS: "from domainstream import BaseEvent\n\nEvent = BaseEvent\n"},
    ),
    "final as sealed": edit(EVENTS, FINAL, ("import final", "import final as sealed")),
    "final of typing_extensions": edit(EVENTS, ("from typing import final", "from typing_extensions import final")),
    "final in a variable": edit(
        EVENTS, FINAL, ("\n\n\nclass StayEventType", "\n\nsealed = final\n\n\nclass StayEventType")
    ),
    "channel base as Base": edit(
        CHANNELS,
        ("import EventPublisherChannel", "import EventPublisherChannel as Base"),
        ("(EventPublisherChannel", "(Base"),
    ),
    "subscriptions by another file": edit(
        SUBSCRIPTIONS,
        ("import create_multiple_handlers, to_queue", "import to_queue as send\nfrom contracts.tools import listing"),
        ("create_multiple_handlers(", "listing("),
        ("to_queue(", "send("),
        more={TOOLS: "from domainstream.subscriber import create_multiple_handlers as listing\n"},
    ),
    "EventConsumer as Handlers": edit(
        CONSUMER, ("import EventConsumer,", "import EventConsumer as Handlers,"), ("= EventConsumer(", "= Handlers(")
    ),
    "decorator in a variable": edit(CONSUMER, ("\n\n\n@consumer.on(", "\non = consumer.on\n\n\n@on(")),
    "union of t.Union": edit(
        UNION,
        ("from typing import TypeAlias", "import typing as t\nfrom typing import TypeAlias as TA"),
        ("TypeAlias = StayCreated", "TA = t.Union[StayCreated]"),
    ),
}


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_are_followed(alias: str, tmp_path: Path) -> None:
    """A system that imports names under aliases, or from other files, is as clean as without."""
    system = write_system(tmp_path, ALIASES[alias](small_system()))
    assert [f"{finding}; {finding.fix}" for finding in check_project(system)] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            edit(MAPPER, ("import assert_never", "import cast as assert_ever"), ("assert_never(", "assert_ever(")),
            "DS303",
        ),
        (edit(MAPPER, ("from typing import assert_never", "from typing import reveal_type as assert_never")), "DS303"),
        (
            edit(
                EVENTS,
                ("from typing import final", "from contracts.tools import seal as final"),
                more={TOOLS: "def seal(x): ...\n"},
            ),
            "DS202",
        ),
    ],
)
def test_names_of_other_things_are_not_followed(change: Callable[[Files], Files], code: str, tmp_path: Path) -> None:
    """Something else under the name that `check` looks for is not taken for it."""
    assert code in {finding.code for finding in check_project(write_system(tmp_path, change(small_system())))}
