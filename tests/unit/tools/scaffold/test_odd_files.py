"""Commands on code that is odd but legal: it is edited and stays the same around the edit, or the command is refused.

Each row changes a project, so that one of its files has an unusual form, and names the command that edits that file.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import CHANNELS, SUBSCRIPTIONS, make_project, run, tree

from domainstream.tools.check.engine import check_project
from domainstream.tools.scaffold.compiling import problems

pytestmark = pytest.mark.slow

CONTRACTS = "packages/contracts/src/contracts"
QUEUES, JOBS = f"{CONTRACTS}/bull_mq_queues.py", f"{CONTRACTS}/bull_mq_jobs.py"
CODING = "services/coding/src/coding"
UNION = f"{CODING}/domain_layer/coding_domain_event.py"
EVENTS = f"{CODING}/domain_layer/stay/stay_events.py"
MAPPER = f"{CODING}/infrastructure_layer/events/coding_event_producer/coding_event_producer_mapper.py"
CONSUMER = "services/valuation/src/valuation/infrastructure_layer/consumers/valuation_consumer.py"
VALUATION_TOML = "services/valuation/pyproject.toml"
EMPTY_UNION, EMPTY_MAPPER = (path.replace("coding", "valuation") for path in (UNION, MAPPER))
EDITED = (CHANNELS, SUBSCRIPTIONS, QUEUES, JOBS, UNION, EVENTS, MAPPER, CONSUMER, EMPTY_UNION, EMPTY_MAPPER)

PUBLISHED = ["event", "coding", "stay", "sent", "ward:str", "at:datetime", "amount:decimal?"]
INTERNAL = ["event", "coding", "stay", "left", "--internal"]
OTHER_AGGREGATE = ["event", "coding", "review", "begun"]
SUBSCRIBED = ["subscriber", "domain_coding_stay_coded", "valuation", "--job", "price-stay"]
SERVICE = ["service", "billing"]
COMMANDS = {
    "event": PUBLISHED,
    "internal": INTERNAL,
    "aggregate": OTHER_AGGREGATE,
    "subscriber": SUBSCRIBED,
    "service": SERVICE,
    "first event": ["event", "valuation", "price", "calculated", "amount:decimal"],
}

Bytes = Callable[[bytes], bytes]


def crlf(content: bytes) -> bytes:
    """Return a file with the line ends of Windows."""
    return content.replace(b"\n", b"\r\n")


def tabs(content: bytes) -> bytes:
    """Return a file that is indented by tabs."""
    return re.sub(rb"(?m)^(    )+", lambda pad: b"\t" * (len(pad[0]) // 4), content)


def two_spaces(content: bytes) -> bytes:
    """Return a file that is indented by two spaces."""
    return re.sub(rb"(?m)^(    )+", lambda pad: b"  " * (len(pad[0]) // 4), content)


def later_form_feeds(content: bytes) -> bytes:
    """Return a file with a form feed before each class, function and decorated one, as old editors divide pages."""
    return re.sub(rb"(?m)^(?=(class|def|@|subscriptions|SERVICES|from|import) ?)", b"\f", content)


def future(content: bytes) -> bytes:
    """Return a file whose imports begin with one from `__future__`, in one paragraph with the others."""
    return re.sub(rb"(?m)^(from|import) ", rb"from __future__ import annotations\n\1 ", content, count=1)


WHOLE_FILES: dict[str, Bytes] = {
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "Windows line ends": crlf,
    "byte order mark and Windows line ends": lambda content: b"\xef\xbb\xbf" + crlf(content),
    "old Macintosh line ends": lambda content: content.replace(b"\n", b"\r"),
    "tabs": tabs,
    "two spaces": two_spaces,
    "no last line end": lambda content: content.rstrip(b"\n"),
    "no last line end after a comment": lambda content: content + b"# the end",
    "white space at the end": lambda content: content + b"\n    \n\t",
    "form feeds": later_form_feeds,
    "form feed lines": lambda content: content.replace(b"\n\n\n", b"\n\f\n\n"),
    "coding cookie": lambda content: b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + content,
    "shebang and cookie": lambda content: (
        b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\n# \x80\n" + content
    ),
    "from __future__": future,
    "without docstrings": lambda content: re.sub(rb'(?ms)\A""".*?"""\n+', b"", content),
    "characters beyond ASCII": lambda content: "# Zürich, 東京 🏥\n".encode() + content,
    "comment at the end of each line": lambda content: re.sub(rb"(?m)(?<=[:\])])$", b"  # odd", content),
}


def replaced(old: str, new: str) -> Bytes:
    """Return what replaces a part of a file."""

    def change(content: bytes) -> bytes:
        text = content.decode()
        assert old in text
        return text.replace(old, new).encode()

    return change


CASE = "        case _:\n            assert_never(event)\n"
FIRST = "        case StayCoded():\n            return Channel.DOMAIN_CODING_STAY_CODED\n"
CODED = 'DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"'
ALIAS = "CodingDomainEvent: TypeAlias = StayCoded"
TABLE = '= {\n    "coding": ("stay",),\n    "valuation": (),\n}'
ONE_QUEUE = "[\n            to_queue(BullMqQueues.VALUATION, job=BullMqJobs.HANDLE_STAY_CODED),\n        ],\n    }\n)"
HANDLERS = "    consumer = EventConsumer(BullMqQueues.VALUATION)\n"
ROWS: dict[str, tuple[str, str, Bytes]] = {
    # the mapper
    "wildcard with a name": ("event", MAPPER, replaced("case _:", "case _ as unreachable:")),
    "wildcard in brackets": ("event", MAPPER, replaced("case _:", "case (_):")),
    "wildcard that is a name": ("event", MAPPER, replaced("case _:", "case other:")),
    "wildcard in an alternative": (
        "event",
        MAPPER,
        replaced(CASE, "        case str() | _:\n            assert_never(event)\n"),
    ),
    "wildcard on one line": ("internal", MAPPER, replaced(CASE, "        case _ as never: assert_never(never)")),
    "guard before the wildcard": (
        "event",
        MAPPER,
        replaced(CASE, "        case _ if event.aggregate_id == 'x':\n            return None\n" + CASE),
    ),
    "guard of the new event": (
        "event",
        MAPPER,
        lambda content: content.replace(
            b"import StayCoded\n", b"import StayCoded\nfrom coding.legacy import StaySentBefore\n"
        ).replace(
            CASE.encode(),
            b"        case StaySentBefore() if event.aggregate_id:\n            return None\n" + CASE.encode(),
        ),
    ),
    "proof after the match": ("event", MAPPER, replaced(CASE, "    assert_never(event)\n")),
    "proof in an else of its own": (
        "internal",
        MAPPER,
        replaced(CASE, CASE + "            # never reached\n        # the end\n"),
    ),
    "nested match": (
        "event",
        MAPPER,
        replaced(
            FIRST,
            "        case StayCoded():\n            match str(event.event_type):\n                case _:\n"
            "                    return Channel.DOMAIN_CODING_STAY_CODED\n",
        ),
    ),
    "another function with a match before it": (
        "event",
        MAPPER,
        replaced(
            "def channel_for(",
            "def weight(kind: str) -> int:\n    match kind:\n        case 'a':\n            return 1\n"
            "        case _:\n            return 2\n\n\ndef channel_for(",
        ),
    ),
    "decorated mapper with a comment": (
        "event",
        MAPPER,
        lambda content: content.replace(b"def channel_for(", b"@final\ndef channel_for(").replace(
            b"import assert_never", b"import assert_never, final"
        ),
    ),
    "statements around the match": (
        "event",
        MAPPER,
        replaced(
            "    match event:",
            "    kind = event.event_type; name = str(kind)  # both\n    del kind, name\n    match(event):",
        ),
    ),
    "quoted return type": ("internal", MAPPER, replaced("-> Channel | None:", "-> 'Channel':")),
    "return type in brackets": ("internal", MAPPER, replaced("-> Channel | None:", "-> (Channel):")),
    "star import of the channels": (
        "event",
        MAPPER,
        replaced(
            "from contracts.event_publisher_channels import Channel", "from contracts.event_publisher_channels import *"
        ),
    ),
    "star import of the events": (
        "event",
        MAPPER,
        replaced("stay_events import StayCoded", "stay_events import *"),
    ),
    "alias of the channels": (
        "event",
        MAPPER,
        lambda content: (
            content.replace(b"import Channel", b"import Channel as C")
            .replace(b"Channel.", b"C.")
            .replace(b"-> Channel", b"-> C")
        ),
    ),
    "relative import": (
        "event",
        MAPPER,
        replaced("from coding.domain_layer.stay.stay_events import", "from ....domain_layer.stay.stay_events import"),
    ),
    "conditional import": (
        "event",
        MAPPER,
        replaced(
            "from typing import assert_never\n",
            "import sys\n\nif sys.version_info >= (3, 11):\n    from typing import assert_never\n"
            "else:\n    from typing_extensions import assert_never\n",
        ),
    ),
    "imports with semicolons": (
        "event",
        MAPPER,
        replaced(
            "from coding.domain_layer.stay.stay_events import StayCoded\n",
            "import os; from coding.domain_layer.stay.stay_events import StayCoded; import re\n",
        ),
    ),
    "import with a comment in brackets": (
        "event",
        MAPPER,
        replaced("stay_events import StayCoded", "stay_events import (  # why\n    StayCoded)"),
    ),
    "import with comments and without a comma": (
        "event",
        MAPPER,
        replaced("stay_events import StayCoded", "stay_events import (\n    StayCoded  # why\n)"),
    ),
    "import over a backslash": (
        "event",
        MAPPER,
        replaced("stay_events import StayCoded", "stay_events \\\n    import StayCoded"),
    ),
    # the union
    "Union[...]": (
        "event",
        UNION,
        lambda content: content.replace(b"= StayCoded", b"= Union[StayCoded]").replace(
            b"TypeAlias", b"TypeAlias, Union", 1
        ),
    ),
    "t.Union[...] over lines": (
        "event",
        UNION,
        lambda content: content.replace(b"= StayCoded", b"= t.Union[\n    StayCoded,  # first\n]").replace(
            b"from typing", b"import typing as t\nfrom typing", 1
        ),
    ),
    "quoted union": ("event", UNION, replaced(ALIAS, "CodingDomainEvent: TypeAlias = 'StayCoded'")),
    "union in a plain assignment": ("event", UNION, replaced(ALIAS, "CodingDomainEvent = StayCoded")),
    "union with a comment": (
        "event",
        UNION,
        replaced(ALIAS, "CodingDomainEvent: TypeAlias = (  # all\n    StayCoded)  # so far"),
    ),
    "union of members by module": (
        "event",
        UNION,
        lambda content: content.replace(b"= StayCoded", b"= stay_events.StayCoded").replace(
            b"from coding.domain_layer.stay.stay_events import StayCoded",
            b"from coding.domain_layer.stay import stay_events",
        ),
    ),
    "union with a semicolon": (
        "event",
        UNION,
        replaced(ALIAS, "CodingDomainEvent: TypeAlias = StayCoded; EVERY = (StayCoded,)"),
    ),
    "union over a backslash": ("event", UNION, replaced(ALIAS, "CodingDomainEvent: TypeAlias = \\\n    StayCoded")),
    "empty union with a comment": ("first event", EMPTY_UNION, replaced("= Never", "= (  # none yet\n    Never\n)")),
    "empty union whose name is used": (
        "first event",
        EMPTY_UNION,
        replaced("\nValuation", "\nNOTHING: type[Never] | None = None\nValuation"),
    ),
    # the events
    "enum with methods": (
        "event",
        EVENTS,
        replaced(
            CODED,
            CODED
            + "\n    '''The first.'''\n\n    @property\n    def short(self) -> str:\n        return self.value[1:]",
        ),
    ),
    "enum with semicolons": ("event", EVENTS, replaced(CODED, CODED + "; SHORT = 'x'")),
    "enum of str and Enum": (
        "event",
        EVENTS,
        lambda content: content.replace(b"(StrEnum)", b"(str, Enum)").replace(b"import StrEnum", b"import Enum"),
    ),
    "enum with a decorator": (
        "event",
        EVENTS,
        lambda content: content.replace(b"class StayEventType", b"@unique\nclass StayEventType").replace(
            b"import StrEnum", b"import StrEnum, unique"
        ),
    ),
    "base under an alias": (
        "event",
        EVENTS,
        lambda content: content.replace(b"BaseEvent", b"Event").replace(b"import Event", b"import BaseEvent as Event"),
    ),
    "names of typing_extensions": (
        "event",
        EVENTS,
        replaced("from typing import final", "from typing_extensions import final"),
    ),
    "imports in a try": (
        "event",
        EVENTS,
        replaced("from enum import StrEnum\n", "try:\n    from enum import StrEnum\nexcept ImportError:\n    raise\n"),
    ),
    # the channels
    "channel enum with methods": (
        "event",
        CHANNELS,
        replaced(
            CODED,
            CODED + "\n\n    def short(self) -> str:\n        return self.value.rpartition('_')[2]\n\n\nLAST = Channel",
        ),
    ),
    "services with the bracket behind the last": (
        "aggregate",
        CHANNELS,
        replaced(TABLE, '= {"coding": ("stay",),  # the first\n    "valuation": ()}'),
    ),
    "services with comments in a tuple": (
        "aggregate",
        CHANNELS,
        replaced('("stay",)', '(\n        "stay"  # first\n        ,)'),
    ),
    "aggregates in a list": ("aggregate", CHANNELS, replaced('("stay",)', '["stay"]')),
    "services on one line": ("service", CHANNELS, replaced(TABLE, '= {"coding": ("stay",), "valuation": ()}  # all')),
    "services without a last comma": (
        "service",
        CHANNELS,
        replaced('    "valuation": (),\n}', '    "valuation": (\n    )\n}'),
    ),
    # the subscriptions
    "subscriptions without last commas": ("event", SUBSCRIPTIONS, replaced(ONE_QUEUE, "[]}  # all\n)")),
    "handlers on one line with a spread": (
        "subscriber",
        SUBSCRIPTIONS,
        lambda content: content.replace(ONE_QUEUE.encode(), b"[*FIRST],\n    }\n)").replace(
            b"subscriptions =",
            b"FIRST = [to_queue(BullMqQueues.VALUATION, job=BullMqJobs.HANDLE_STAY_CODED)]\n\nsubscriptions =",
        ),
    ),
    "handlers with comments": (
        "subscriber",
        SUBSCRIPTIONS,
        replaced(
            ONE_QUEUE,
            "[  # a\n        to_queue(BullMqQueues.VALUATION, job=BullMqJobs.HANDLE_STAY_CODED)  # b\n        ]})",
        ),
    ),
    "aliases in the subscriptions": (
        "subscriber",
        SUBSCRIPTIONS,
        lambda content: (
            content.replace(b"BullMqJobs.", b"J.")
            .replace(b"import BullMqJobs", b"import BullMqJobs as J")
            .replace(b"Channel.", b"C.")
            .replace(b"import Channel", b"import Channel as C")
        ),
    ),
    "queue enum with methods": (
        "service",
        QUEUES,
        lambda content: content + b"\n    def key(self) -> str:\n        return f'bull:{self}'\n",
    ),
    # the consumer
    "consumer with a type": (
        "subscriber",
        CONSUMER,
        replaced("consumer = EventConsumer", "consumer: EventConsumer = EventConsumer"),
    ),
    "logger with a type": ("subscriber", CONSUMER, replaced("log = ", "log: logging.Logger = ")),
    "comments in the consumer": (
        "subscriber",
        CONSUMER,
        replaced("    return consumer", "    # that is all\n    return consumer  # the end\n    # really"),
    ),
    "nested factory": ("subscriber", CONSUMER, replaced(HANDLERS, HANDLERS + "    if producer:\n        pass\n")),
    # TOML
    "Windows line ends in TOML": ("service", "pyproject.toml", crlf),
    "byte order mark in TOML": ("subscriber", VALUATION_TOML, lambda content: b"\xef\xbb\xbf" + content),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an event that one queue handles."""
    folder = tmp_path_factory.mktemp("original") / "clinic"
    make_project(folder)
    for arguments in (
        ["service", "coding"],
        ["service", "valuation"],
        ["event", "coding", "stay", "coded", "id:str"],
        ["subscriber", "domain_coding_stay_coded", "valuation"],
    ):
        assert run(folder, *arguments, "--quiet").exit_code == 0
    legacy = folder / CODING / "legacy.py"
    legacy.write_text('"""Events of before."""\n\n\nclass StaySentBefore:\n    """Not an event any more."""\n')
    return folder


@pytest.fixture
def clinic(original: Path, tmp_path: Path) -> Path:
    """A copy of the project."""
    return shutil.copytree(original, tmp_path / "clinic")


@pytest.fixture(scope="module")
def programs() -> Iterator[subprocess.Popen[str]]:
    """A process that runs the services of a project in a child of its own, given as a line of JSON."""
    with subprocess.Popen(
        [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


_RUN = """
import asyncio, inspect, json, logging, os, runpy, sys, traceback
from domainstream import MemoryPublisher
import domainstream.bootstrap, domainstream.testing

def run(folder, paths, tests):
    os.chdir(folder)
    sys.path[:0] = paths
    import contracts.subscriptions, coding.bootstrap, valuation.bootstrap
    coding.bootstrap.wire(MemoryPublisher())
    valuation.bootstrap.wire(MemoryPublisher())
    for test in tests:
        for name, function in runpy.run_path(test).items():
            if name.startswith("test_"):
                result = function()
                if inspect.iscoroutine(result):
                    asyncio.run(result)

for line in sys.stdin:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        said = ""
        try:
            run(*json.loads(line))
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode()[-4000:])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        print(json.dumps(pipe.read()), flush=True)
    os.wait()
"""


@pytest.mark.parametrize("oddity", WHOLE_FILES)
def test_unusual_files_are_edited(clinic: Path, programs: subprocess.Popen[str], oddity: str) -> None:
    """Files of an unusual encoding or layout are edited by every command, and stay the same around the edits."""
    for path in EDITED:
        file = clinic / path
        file.write_bytes(WHOLE_FILES[oddity](file.read_bytes()))
    assert_runs(clinic, programs, set())
    before = set(tree(clinic))
    for command in COMMANDS.values():
        assert_edited(clinic, command)
    assert_runs(clinic, programs, before)


@pytest.mark.parametrize("oddity", ROWS)
def test_unusual_code_is_edited(clinic: Path, programs: subprocess.Popen[str], oddity: str) -> None:
    """Code in an unusual but legal form is edited, and stays the same around the edit."""
    command, path, change = ROWS[oddity]
    file = clinic / path
    file.write_bytes(change(file.read_bytes()))
    assert_runs(clinic, programs, set())
    before = assert_edited(clinic, COMMANDS[command])
    assert_runs(clinic, programs, before)
    after = tree(clinic)
    again = run(clinic, *COMMANDS[command])
    assert (again.exit_code, tree(clinic)) == (0, after), again.output


REFUSED: dict[str, tuple[str, str, Bytes, str]] = {
    "mapper without a match": (
        "event",
        MAPPER,
        lambda content: content[: content.index(b"    match event")] + b"    return TABLE[type(event)]\n",
        "there is no function with a match",
    ),
    "match on the event type": (
        "event",
        MAPPER,
        lambda content: content.replace(b"match event:", b"match event.event_type:").replace(
            b"case StayCoded():", b"case StayEventType.DOMAIN_CODING_STAY_CODED:"
        ),
        (
            ":12: its match is not on the event itself. Do this step by hand, then run the command again: "
            "add a case for DOMAIN_CODING_STAY_SENT to channel_for that returns Channel.DOMAIN_CODING_STAY_SENT"
        ),
    ),
    "name of the channels that is taken": (
        "event",
        MAPPER,
        replaced("from contracts.event_publisher_channels import Channel", "from redis import Redis as Channel"),
        (
            "Channel is the name of something else in it, from redis. Do this step by hand, then run the command "
            "again: from contracts.event_publisher_channels import Channel as ..."
        ),
    ),
    "name of a module that is taken": (
        "event",
        EVENTS,
        replaced("\n\nclass", "\ndt = 1\n\n\nclass"),
        "import datetime as ...",
    ),
    "union that is called": (
        "event",
        UNION,
        replaced("= StayCoded", "= some(StayCoded)"),
        ":7: CodingDomainEvent is not",
    ),
    "enum on one line": (
        "event",
        EVENTS,
        lambda content: re.sub(rb'(EventType\(StrEnum\):)\n +""".*"""\n\n +', rb"\1 ", content),
        (
            ":9: StayEventType is written on one line. Do this step by hand, then run the command again: "
            'add DOMAIN_CODING_STAY_SENT = "domain_coding_stay_sent" to it'
        ),
    ),
    "services that are computed": (
        "event",
        CHANNELS,
        replaced('("stay",)', "TABLES['stay']"),
        ":5: the table of services",
    ),
    "services that are not texts": ("event", CHANNELS, replaced('("stay",)', "None"), ":5: the table of services"),
    "handlers that are computed": (
        "subscriber",
        SUBSCRIPTIONS,
        lambda content: re.sub(rb"(?s)STAY_CODED: \[.*\],", b"STAY_CODED: list(FIRST),", content),
        (
            ":11: Channel.DOMAIN_CODING_STAY_CODED has no list of handlers. Do this step by hand, then run the command "
            "again: Channel.DOMAIN_CODING_STAY_CODED: [to_queue(BullMqQueues.VALUATION, job=BullMqJobs.PRICE_STAY)]"
        ),
    ),
    "factory with a return in a block": (
        "subscriber",
        CONSUMER,
        replaced("    return consumer", "    if producer:\n        return consumer\n    raise ValueError"),
        "valuation_consumer does not return its consumer last",
    ),
    "backslash before code": (
        "event",
        MAPPER,
        lambda content: content.replace(b"    match event", b"    if True:\n        \\\n        pass\n    match event"),
        "a form that cannot be edited",
    ),
    "not Python": ("event", MAPPER, replaced("    match event", "    match event event"), ":12: this is not Python 3."),
    "undeclared encoding": (
        "event",
        MAPPER,
        lambda content: content + b"# caf\xe9\n",
        "it is not UTF-8, nor in an encoding",
    ),
    "unknown encoding": (
        "event",
        MAPPER,
        lambda content: b"# coding: klingon\n" + content,
        "nor in an encoding that it declares",
    ),
    "zero byte": ("event", MAPPER, lambda content: content + b"# \0\n", "this is not Python 3."),
}


@pytest.mark.parametrize("form", REFUSED)
def test_code_that_cannot_be_edited_is_refused(clinic: Path, form: str) -> None:
    """A command that cannot edit a file says where and why, and what to add by hand, and changes nothing."""
    command, path, change, said = REFUSED[form]
    file = clinic / path
    file.write_bytes(change(file.read_bytes()))
    before = tree(clinic)
    result = run(clinic, *COMMANDS[command])
    assert result.exit_code == 1, result.output
    assert tree(clinic) == before
    assert path in result.stderr
    assert said in result.stderr
    assert "by hand" in result.stderr


BY_HAND: dict[str, tuple[str, Bytes, Bytes]] = {
    "mapper without a match": (
        MAPPER,
        lambda content: content[: content.index(b"    match event")] + b"    return TABLE[type(event)]\n",
        replaced("return TABLE", "TABLE[StaySent] = Channel.DOMAIN_CODING_STAY_SENT\n    return TABLE"),
    ),
    "union that is called": (
        UNION,
        replaced("= StayCoded", "= some(StayCoded)"),
        replaced("some(StayCoded)", "StayCoded | StaySent"),
    ),
    "enum on one line": (
        EVENTS,
        lambda content: re.sub(rb'(EventType\(StrEnum\):)\n +""".*"""\n\n +', rb"\1 ", content),
        replaced(
            '"domain_coding_stay_coded"',
            '"domain_coding_stay_coded"; DOMAIN_CODING_STAY_SENT = "domain_coding_stay_sent"',
        ),
    ),
    "handlers that are computed": (
        SUBSCRIPTIONS,
        lambda content: content.replace(b"multiple_handlers(\n", b"multiple_handlers(TABLE | \n"),
        replaced("TABLE |", "{Channel.DOMAIN_CODING_STAY_SENT: []} |"),
    ),
}


@pytest.mark.parametrize("form", BY_HAND)
def test_command_goes_on_after_the_step_by_hand(clinic: Path, form: str) -> None:
    """Once the step that was refused is done by hand, the command does the others."""
    path, change, step = BY_HAND[form]
    file = clinic / path
    file.write_bytes(change(file.read_bytes()))
    assert run(clinic, *PUBLISHED).exit_code == 1
    file.write_bytes(step(file.read_bytes()))
    result = run(clinic, *PUBLISHED)
    assert result.exit_code == 0, result.output
    assert b"class StaySent(" in (clinic / EVENTS).read_bytes()


@pytest.mark.parametrize("compiled", [True, False])
def test_edited_files_are_compiled_before_they_are_written(
    clinic: Path, monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    """An edit that would break a file is refused with its lines, and nothing is written; without the proof it is."""
    file = clinic / MAPPER
    before = tree(clinic)
    monkeypatch.setattr("domainstream.tools.scaffold.edits.services._takes_events", lambda _: False)
    if not compiled:
        monkeypatch.setattr("domainstream.tools.scaffold.plan.problems", lambda *_: ())
        monkeypatch.setattr("domainstream.tools.scaffold.plan.check_project", lambda _: [])  # it compiles as well
    result = run(clinic, *PUBLISHED)
    if compiled:
        assert (result.exit_code, tree(clinic)) == (1, before)
        assert f"{MAPPER}:15: this is not Python" in result.stderr
        assert f"{MAPPER}:         case StaySent():" in result.stderr
    else:
        assert result.exit_code == 0
        with pytest.raises(SyntaxError, match="makes remaining patterns unreachable"):
            compile(file.read_bytes(), file, "exec", dont_inherit=True)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("from a import *\nx = b\n", "from a import b\nx = b, c\n", ["file.py: c would not be defined in it"]),
        ("x = y\n", "x = y\ndef f() -> None:\n    return [z for a in x]\n", ["file.py: z would not be defined in it"]),
        (
            "x = 1\n",
            "import a.b\nx = 1\nclass C(a.B):\n    c = x\n    def f(self): return C, __name__, len, self\n",
            [],
        ),
        ("x = 1\n", "from a import *\nx = c\n", []),
    ],
)
def test_names_must_be_defined(before: str, after: str, said: list[str]) -> None:
    """A name that an edit uses is defined in the file, or may come from a star import."""
    assert list(problems("file.py", before, after)) == said


def assert_edited(folder: Path, command: list[str]) -> set[str]:
    """Assert that a command edits a project, and keeps the rest of its text; return the files of before."""
    before = tree(folder)
    result = run(folder, *command)
    assert result.exit_code == 0, result.output
    after = tree(folder)
    assert before != after
    for path, old in before.items():
        assert_kept(path, old, after[path])
    return set(before)


def assert_kept(path: str, before: bytes, after: bytes) -> None:
    """Assert that the lines of a file are the same to the byte, except for those that the edit extends."""
    if before == after:
        return
    bom = b"\xef\xbb\xbf"
    assert after.startswith(bom) == before.startswith(bom), path
    if b"\n" not in before.replace(b"\r\n", b""):
        assert b"\n" not in after.replace(b"\r\n", b""), path
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in {"delete", "replace"}:
            rest = iter(code(b"".join(new[k:m])))
            missing = [token for token in code(b"".join(old[i:j])) if token not in rest]
            assert not missing, (path, old[i:j], new[k:m])


def code(text: bytes) -> list[bytes]:
    """Return the signs of code, without what an edit may change: brackets, commas, and `Never` for no events."""
    return re.findall(rb"[^\s(),\\]", re.sub(rb"\bNever\b", b"", text))


def assert_runs(folder: Path, programs: subprocess.Popen[str], before: set[str]) -> None:
    """Assert that files compile, `check` finds nothing, the services can be wired, and tests that are new pass."""
    files = tree(folder)
    for path, content in files.items():
        if path.endswith(".py"):
            compile(content, path, "exec", dont_inherit=True)
    if before:
        assert [str(finding) for finding in check_project(folder)] == []
    tests = [str(folder / path) for path in sorted(files) if before and path not in before and "/tests/" in path]
    assert programs.stdin is not None
    assert programs.stdout is not None
    paths = [str(path) for path in sorted(folder.glob("*/*/src"))]
    print(json.dumps([str(folder), paths, tests]), file=programs.stdin, flush=True)
    said = json.loads(programs.stdout.readline())
    assert said == ""
