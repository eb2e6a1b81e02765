"""What is read from files: names across files, consumers across files, events by way of bases, layers."""

from pathlib import Path

import pytest
from support.checking import CHANNELS, CONSUMER, EVENTS, MAPPER, SUBSCRIPTIONS, UNION, small_system, write_system

from domainstream.tools.check import check_project, read_project

DOMAIN = "services/coding/src/coding/domain_layer"


def codes(root: Path, files: dict[str, str]) -> list[str]:
    """Return what is found in the small system with these files."""
    return [finding.code for finding in check_project(write_system(root, small_system() | files))]


def replaced(name: str, *pairs: tuple[str, str]) -> dict[str, str]:
    """Return a file of the small system with some texts replaced."""
    text = small_system()[name]
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {name: text}


UNION_IMPORT = "from coding.domain_layer.stay.stay_events import StayCreated"

SAME = {
    "relative imports": replaced(UNION, (UNION_IMPORT, "from .stay.stay_events import StayCreated")),
    "re-exports": replaced(UNION, (UNION_IMPORT, "from coding.domain_layer.stay import Created as StayCreated"))
    | {f"{DOMAIN}/stay/__init__.py": "from .stay_events import StayCreated as Created\n"},
    "everything is imported": replaced(UNION, (UNION_IMPORT, "from .stay import *"))
    | {f"{DOMAIN}/stay/__init__.py": "from .nothing import *\nfrom .stay_events import *\nfrom . import *\n"},
    "modules": replaced(
        MAPPER,
        (
            "from contracts.event_publisher_channels import Channel",
            "from contracts import event_publisher_channels as c",
        ),
        ("Channel", "c.Channel"),
    ),
    "whole names": replaced(
        SUBSCRIPTIONS,
        ("from contracts.event_publisher_channels import Channel", "import contracts.event_publisher_channels"),
        ("        Channel.", "        contracts.event_publisher_channels.Channel."),
    ),
    "a table with a name": {
        SUBSCRIPTIONS: small_system()[SUBSCRIPTIONS].replace("create_multiple_handlers(\n    {", "dict(\n    {")
        + "TABLE = {Channel.DOMAIN_CODING_STAY_CREATED: [to_queue(queue='coding', job='record-stay')]}\n"
        + "really = create_multiple_handlers(TABLE)\n"
    },
    "a table that grows": {
        SUBSCRIPTIONS: small_system()[SUBSCRIPTIONS].replace("create_multiple_handlers(\n    {", "dict(\n    {")
        + "TABLE = {}\nTABLE[Channel.DOMAIN_CODING_STAY_CREATED] = [to_queue('coding', job='record-stay')]\n"
        + "really = create_multiple_handlers(TABLE)\n"
    },
    "a base of the service's own": {
        EVENTS: small_system()[EVENTS].replace("(BaseEvent[", "(CodingEvent[")
        + "\n\nPayloadT = TypeVar('PayloadT')\n\n\nclass CodingEvent(BaseEvent[PayloadT]):\n    pass\n"
    },
    "constants": replaced(
        CONSUMER, ('EventConsumer("coding")', "EventConsumer(QUEUE)"), ("\nconsumer", "\nQUEUE = 'coding'\nconsumer")
    ),
    "an enum of queues": {
        CONSUMER: "from enum import StrEnum, auto\n"
        + small_system()[CONSUMER].replace('EventConsumer("coding")', "EventConsumer(queue=Queues.CODING.value)")
        + "\n\nclass Queues(StrEnum):\n    CODING = auto()\n"
    },
    "typing under a condition": replaced(
        EVENTS,
        (
            "from typing import final",
            (
                "import sys\nif sys.version_info >= (3, 11):\n    from typing import final\nelse:\n"
                "    from typing_extensions import final"
            ),
        ),
    ),
}


@pytest.mark.parametrize("files", SAME.values(), ids=list(SAME))
def test_same_written_differently_is_as_clean(files: dict[str, str], tmp_path: Path) -> None:
    """Imports, re-exports, constants and bases are followed, so the same system written differently is as clean."""
    assert codes(tmp_path, files) == []
    project = read_project(tmp_path)
    assert [event.event_type for event in project.events] == ["domain_coding_stay_created"]
    assert [len(mapper.cases) for mapper in project.mappers] == [1]
    assert [consumer.queue for consumer in project.consumers] == ["coding"]


UNCLEAR = {
    "subscriptions made in a loop": replaced(
        SUBSCRIPTIONS,
        (
            '        Channel.DOMAIN_CODING_STAY_CREATED: [to_queue("coding", job="record-stay")],\n',
            "        channel: [] for channel in Channel\n",
        ),
    ),
    "subscriptions of several tables": replaced(
        SUBSCRIPTIONS, ('Channel.DOMAIN_CODING_STAY_CREATED: [to_queue("coding", job="record-stay")]', "**MORE")
    ),
    "a queue from the environment": replaced(CONSUMER, ('"coding"', 'os.environ["QUEUE"]')),
    "a queue in the subscriptions likewise": replaced(SUBSCRIPTIONS, ('to_queue("coding"', "to_queue(QUEUES[0]")),
    "handlers in a loop": replaced(CONSUMER, ("@consumer.on(StayCreated)", "@consumer.on(*EVENTS)")),
    "jobs without a handler are skipped": replaced(
        CONSUMER, ('"coding")', '"coding", unhandled="skip")'), ("@consumer.on(StayCreated)\n", "")
    ),
    "an enum that is made by a call": {
        CHANNELS: "from domainstream import EventPublisherChannel\nChannel = EventPublisherChannel('Channel', NAMES)\n"
    },
    "a type that is computed": replaced(
        EVENTS, ("event_type = StayEventType.DOMAIN_CODING_STAY_CREATED", "event_type = name_of(1)")
    ),
}


@pytest.mark.parametrize("files", UNCLEAR.values(), ids=list(UNCLEAR))
def test_what_is_not_understood_is_left_alone(files: dict[str, str], tmp_path: Path) -> None:
    """Code that cannot be understood without running it has no findings, since they might be wrong."""
    assert codes(tmp_path, files) == []


HANDLER = """
from coding.domain_layer.stay.stay_events import StayCreated
from coding.infrastructure_layer.consumers.coding_consumer import consumer


@consumer.on(StayCreated)
async def record_stay(event, context):
    print(event)
"""


def test_handlers_may_be_in_another_file_than_their_consumer(tmp_path: Path) -> None:
    """A handler in another file belongs to the consumer that it names; without it, the job has no handler."""
    bare = replaced(CONSUMER, ("@consumer.on(StayCreated)\n", ""))
    assert codes(tmp_path, bare) == ["DS405"]
    handlers = "services/coding/src/coding/infrastructure_layer/consumers/handlers.py"
    assert codes(tmp_path, bare | {handlers: HANDLER}) == []
    (consumer,) = read_project(tmp_path).consumers
    assert [handler.name for handler in consumer.handlers] == ["record_stay"]


@pytest.mark.parametrize("unhandled", ['"wait"', '"fail"', "Wait(timedelta(days=1))"])
def test_job_without_a_handler_is_found_however_long_it_may_wait(unhandled: str, tmp_path: Path) -> None:
    """A job that waits for a handler is not meant to have none."""
    waiting = replaced(
        CONSUMER, ('"coding")', f'"coding", unhandled={unhandled})'), ("@consumer.on(StayCreated)\n", "")
    )
    assert codes(tmp_path, waiting) == ["DS405"]


def test_handler_of_one_job_leaves_the_others(tmp_path: Path) -> None:
    """A handler with `job=` handles only the job of that name."""
    other = replaced(CONSUMER, ("@consumer.on(StayCreated)", '@consumer.on(StayCreated, job="archive-stay")'))
    assert codes(tmp_path, other) == ["DS405"]
    same = replaced(CONSUMER, ("@consumer.on(StayCreated)", '@consumer.on(StayCreated, job="record-stay")'))
    assert codes(tmp_path, same) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import redis.asyncio", ["DS206"]),
        ("from sqlalchemy import select", ["DS206"]),
        ("from ...infrastructure_layer.persistence import stays", ["DS206"]),
        ("from coding.infrastructure_layer import persistence, consumers", ["DS206"]),
        ("from domainstream.worker import GiveUp", ["DS206"]),
        ("from domainstream.outbox import Outbox", ["DS206"]),
        ("from domainstream.redis import keys", ["DS206"]),
        ("from domainstream.tools.check import check_project", ["DS206"]),
        ("from domainstream import RedisStreamPublisherClient", ["DS206"]),
        ("def later():\n    import bullmq", ["DS206"]),
        ("from domainstream import BaseEvent, follow_up", []),
        ("from domainstream.event import BaseEvent", []),
        ("from coding.application_layer import anything", []),
        ("import redistribution", []),
        ('"""No redis, no infrastructure_layer, no domainstream.worker."""', []),
    ],
)
def test_domain_layer_imports_no_infrastructure(line: str, found: list[str], tmp_path: Path) -> None:
    """A domain layer may not import clients, infrastructure, or the parts of domainstream that talk to servers."""
    assert codes(tmp_path, {f"{DOMAIN}/stay/stay.py": f"{line}\n"}) == found


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        ("datetime", ["DS207"]),
        ("datetime | None", ["DS207"]),
        ("list[datetime]", ["DS207"]),
        ("Annotated[datetime, Meta(title='when')]", ["DS207"]),
        ("Annotated[datetime, Meta(tz=False)]", ["DS207"]),
        ("Moment", ["DS207"]),
        ("Annotated[datetime, Meta(tz=True)]", []),
        ("Annotated[datetime | None, Meta(tz=True)]", []),
        ("tuple[Annotated[datetime, Meta(tz=True)], ...]", []),
        ("Aware", []),
        ("date", []),
        ("AwareDatetime", []),
    ],
)
def test_payloads_take_datetimes_with_a_time_zone_only(annotation: str, found: list[str], tmp_path: Path) -> None:
    """A payload field whose type allows a datetime without a time zone, at any depth, is reported."""
    head = (
        "from datetime import date, datetime\nfrom typing import Annotated\nfrom msgspec import Meta\n"
        "from pydantic import AwareDatetime\nMoment = datetime\nAware = Annotated[datetime, Meta(tz=True)]\n"
    )
    text = head + small_system()[EVENTS].replace("stay_id: str", f"at: {annotation}")
    assert codes(tmp_path, {EVENTS: text}) == found


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("datetime.now()", ["DS207"]),
        ("datetime.utcnow()", ["DS207"]),
        ("datetime.now(UTC)", []),
        ("datetime.now(tz=UTC)", []),
        ("clock.now()", []),
    ],
)
def test_payloads_are_given_no_naive_datetimes(call: str, found: list[str], tmp_path: Path) -> None:
    """A call among a payload's arguments that makes a datetime without a time zone is reported."""
    text = (
        "from datetime import UTC, datetime\nfrom coding.domain_layer.stay.stay_events import StayPayload\n\n\n"
        f"def payload(clock):\n    now = datetime.now()\n    return StayPayload(stay_id={call})\n"
    )
    assert codes(tmp_path, {f"{DOMAIN}/stay/stay.py": text}) == found


def test_tests_inside_of_a_service_are_left_out(tmp_path: Path) -> None:
    """Event classes in a service's test files are not events of the system."""
    event = "from domainstream import BaseEvent\n\n\nclass Sample(BaseEvent[str]):\n    event_type = 'sample'\n"
    folder = "services/coding/src/coding"
    files = [
        f"{folder}/tests/sample.py",
        f"{folder}/test_sample.py",
        f"{folder}/sample_test.py",
        f"{folder}/conftest.py",
    ]
    assert codes(tmp_path, dict.fromkeys(files, event)) == []


def test_columns_count_characters(tmp_path: Path) -> None:
    """The column of a finding counts characters, whereas syntax trees count bytes."""
    text = small_system()[SUBSCRIPTIONS].replace(
        "        Channel.DOMAIN_CODING_STAY_CREATED: [", "        Channel.DOMAIN_CODING_STAY_CREATED: ['äöü', "
    )
    text = text.replace('to_queue("coding"', 'to_queue("ärger"')
    write_system(tmp_path, small_system() | {SUBSCRIPTIONS: text})
    (finding,) = check_project(tmp_path)
    line = text.splitlines()[finding.line - 1]
    assert line[finding.column - 1 :].startswith('to_queue("ärger"')


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "match 1:\n    case _:\n        pass\n    case 2:\n        pass\n",
            "wildcard makes remaining patterns unreachable",
        ),
        ("return 1\n", "'return' outside function"),
        (
            "x = 1\nfrom __future__ import annotations\n",
            "from __future__ imports must occur at the beginning of the file",
        ),
    ],
)
def test_what_the_compiler_refuses_is_found(code: str, why: str, tmp_path: Path) -> None:
    """A mistake that Python's compiler finds, and not its parser, is a finding at its line."""
    files = small_system()
    system = write_system(tmp_path, files | {MAPPER: f"{files[MAPPER]}\n\n{code}"})
    found = [str(finding) for finding in check_project(system) if finding.code == "DS001"]
    assert len(found) == 1
    assert found[0].startswith(f"{MAPPER}:")
    assert found[0].endswith(why)
