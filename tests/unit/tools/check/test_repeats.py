"""What is defined twice: Python keeps one of the two and says nothing, so `check` has to find it."""

from pathlib import Path

import pytest
from support.checking import CHANNELS, CONSUMER, EVENTS, MAPPER, SUBSCRIPTIONS, small_system, write_system

from domainstream.tools.check import Finding, check_project
from domainstream.tools.check.fixing import fix

QUEUES = "packages/contracts/src/contracts/bull_mq_queues.py"
JOBS = "packages/contracts/src/contracts/bull_mq_jobs.py"
MORE = "packages/contracts/src/contracts/more.py"
ENTRY = '        Channel.DOMAIN_CODING_STAY_CREATED: [to_queue("coding", job="record-stay")],\n'
NOBODY = "        Channel.DOMAIN_CODING_STAY_CREATED: [],\n"
CASE = "        case StayCreated():\n            return Channel.DOMAIN_CODING_STAY_CREATED\n"
EVENT = "    event_type = StayEventType.DOMAIN_CODING_STAY_CREATED\n"
HANDLER = (
    "\n\n@{name}.on({given})\nasync def {function}(event: StayCreated, context: EventContext) -> None:\n    print(1)\n"
)


def found(root: Path, *changes: dict[str, str]) -> list[Finding]:
    """Return what is found in the small system with these files."""
    files = small_system()
    for change in changes:
        files |= change
    return check_project(write_system(root, files))


def changed(name: str, old: str, new: str) -> dict[str, str]:
    """Return a file of the small system with a text replaced."""
    assert old in small_system()[name]
    return {name: small_system()[name].replace(old, new)}


def spread(entries: str, head: str = "") -> dict[str, str]:
    """Return the subscriptions with these entries, and another file of entries in which no queue gets the channel."""
    imports = "from contracts.event_publisher_channels import Channel\n"
    table = changed(SUBSCRIPTIONS, ENTRY, entries)
    table[SUBSCRIPTIONS] = table[SUBSCRIPTIONS].replace(
        "\nsubscriptions", f"from contracts.more import MORE\n{head}\nsubscriptions"
    )
    return {**table, MORE: f"{imports}\nMORE = {{\n{NOBODY}}}\n"}


SUBSCRIBED_TWICE = {
    "in one table": changed(SUBSCRIPTIONS, ENTRY, ENTRY + NOBODY),
    "the other way round": changed(SUBSCRIPTIONS, ENTRY, NOBODY + ENTRY),
    "by a spread": spread(f"{ENTRY}        **MORE,\n"),
    "before a spread is overwritten": spread(f"        **MORE,\n{ENTRY}"),
    "by a spread of a spread": spread(f"{ENTRY}        **{{**MORE}},\n"),
    "by a spread of a name of the file": spread(f"{ENTRY}        **OWN,\n", head=f"OWN = {{\n{NOBODY}}}\n"),
    "by a union": {
        **spread(ENTRY),
        SUBSCRIPTIONS: spread(ENTRY)[SUBSCRIPTIONS].replace("    }\n)", "    }\n    | MORE\n)"),
    },
}


@pytest.mark.parametrize("files", SUBSCRIBED_TWICE.values(), ids=list(SUBSCRIBED_TWICE))
def test_channel_with_two_entries_is_found(files: dict[str, str], tmp_path: Path) -> None:
    """A channel with two entries is reported at the one that wins, with the place of the one that is lost."""
    (finding,) = found(tmp_path, files)
    assert finding.code == "DS406"
    assert "DOMAIN_CODING_STAY_CREATED has two entries: this one replaces packages/contracts/src/contracts/" in str(
        finding
    )


@pytest.mark.parametrize("entries", [f"{ENTRY}        **dict(MORE),\n", f"{ENTRY}        **LATER,\n"])
def test_spread_that_is_not_plain_is_left_alone(entries: str, tmp_path: Path) -> None:
    """A spread of a call, or of a table that gets entries later, is not judged."""
    head = "LATER = {Channel.DOMAIN_CODING_STAY_CREATED: []}\nLATER.update({})\n"
    assert found(tmp_path, spread(entries, head)) == []


def test_spread_counts_as_subscribed(tmp_path: Path) -> None:
    """A channel that only a spread names is not missing, and one that neither names is added by --fix."""
    assert found(tmp_path, spread("        **MORE,\n")) == []
    channels = small_system()[CHANNELS] + '    DOMAIN_CODING_STAY_CLOSED = "domain_coding_stay_closed"\n'
    write_system(tmp_path, {CHANNELS: channels})
    assert "DS401" in [finding.code for finding in check_project(tmp_path)]
    assert fix(tmp_path, ("DS401",)) == [SUBSCRIPTIONS]
    assert "Channel.DOMAIN_CODING_STAY_CLOSED: []" in (tmp_path / SUBSCRIPTIONS).read_text()
    assert "DS401" not in [finding.code for finding in check_project(tmp_path)]


def test_table_that_contains_itself_ends(tmp_path: Path) -> None:
    """A table that contains itself, which Python refuses, is read to an end."""
    assert found(tmp_path, spread(f"{ENTRY}        **OWN,\n", head="OWN = {**OWN}\n")) == []


@pytest.mark.parametrize(
    ("cases", "codes"),
    [
        (CASE + CASE, ["DS308"]),
        (CASE + "        case StayCreated() as again:\n            return None\n", ["DS308"]),
        (CASE + "        case StayCreated() if event.sequence:\n            return None\n", ["DS308"]),
        ("        case StayCreated() if event.sequence:\n            return None\n" + CASE, []),
        ("        case StayCreated(sequence=0):\n            return None\n" + CASE, []),
    ],
)
def test_second_case_of_an_event_is_found(cases: str, codes: list[str], tmp_path: Path) -> None:
    """A case for an event that an earlier case takes entirely is reported; one after a guard is not."""
    assert [finding.code for finding in found(tmp_path, changed(MAPPER, CASE, cases))] == codes


def consumer(*handlers: str) -> dict[str, str]:
    """Return the file of the small system's consumer with more handlers."""
    return {CONSUMER: small_system()[CONSUMER] + "".join(handlers)}


def handler(given: str, name: str = "consumer", function: str = "count_stay") -> str:
    """Return a handler that is registered with these arguments."""
    return HANDLER.format(given=given, name=name, function=function)


JOB = 'StayCreated, job="record-stay"'


@pytest.mark.parametrize(
    ("handlers", "codes"),
    [
        ([handler("StayCreated")], ["DS407"]),
        ([handler("StayCreated", function="record_stay")], ["DS407"]),
        ([handler(JOB), handler(JOB, function="again")], ["DS407"]),
        ([handler(JOB)], []),
        ([handler(JOB), handler('StayCreated, job="count-stay"', function="again")], []),
    ],
)
def test_second_handler_of_a_job_is_found(handlers: list[str], codes: list[str], tmp_path: Path) -> None:
    """A second handler of an event and a job is reported; handlers of one job and of all other jobs are not."""
    assert [finding.code for finding in found(tmp_path, consumer(*handlers))] == codes


def test_second_handler_in_another_file_is_found(tmp_path: Path) -> None:
    """A second handler in another file than the consumer is reported there, with the place of the first."""
    other = CONSUMER.replace("coding_consumer", "more_handlers")
    imports = "from coding.infrastructure_layer.consumers.coding_consumer import StayCreated, consumer\n"
    (finding,) = found(tmp_path, {other: imports + handler("StayCreated")})
    assert (finding.code, finding.path) == ("DS407", other)
    assert f"StayCreated is already handled by record_stay ({CONSUMER}:7)" in finding.message


def made_in(function: str, queue: str) -> str:
    """Return a function that makes a consumer with a handler of its own."""
    lines = handler("StayCreated", "mine").strip().splitlines()
    body = "\n".join(f"    {line}" for line in [f'mine = EventConsumer("{queue}")', *lines, "return mine"])
    return f"\n\ndef {function}():\n{body}\n"


def test_consumers_of_two_functions_are_two(tmp_path: Path) -> None:
    """Consumers that two functions make under one name each have their own handlers."""
    assert found(tmp_path, consumer(made_in("one", "first"), made_in("two", "second"))) == []


def test_second_consumer_of_a_queue_is_found(tmp_path: Path) -> None:
    """A second consumer of a queue is reported in whichever file or function it is made."""
    (inside,) = found(tmp_path / "inside", consumer(made_in("one", "coding")))
    other = CONSUMER.replace("coding_consumer", "second_consumer")
    (beside,) = found(tmp_path / "beside", {other: small_system()[CONSUMER]})
    assert [inside.code, beside.code] == ["DS408", "DS408"]
    assert f"the queue coding has another consumer ({CONSUMER}:4)" in beside.message


@pytest.mark.parametrize("name", [QUEUES, JOBS])
@pytest.mark.parametrize(("second", "codes"), [("coding", ["DS409"]), ("valuation", [])])
def test_second_member_with_a_value_is_found(name: str, second: str, codes: list[str], tmp_path: Path) -> None:
    """A queue or job whose value another one has is an alias in Python, and reported."""
    text = f'from enum import StrEnum\n\n\nclass Names(StrEnum):\n    A = "coding"\n    B = "{second}"\n'
    assert [finding.code for finding in found(tmp_path, {name: text})] == codes


TWICE = {
    "field of a payload": changed(EVENTS, "    stay_id: str\n", "    stay_id: int\n    stay_id: str\n"),
    "event class": {
        EVENTS: small_system()[EVENTS] + small_system()[EVENTS].partition("\n\n\n@final")[2].join(["\n\n@final", ""])
    },
    "event type": changed(EVENTS, EVENT, '    event_type = "domain_coding_stay_closed"\n' + EVENT),
    "version": changed(EVENTS, EVENT, f"{EVENT}    version = 1\n    version = 1\n"),
    "mapper": {MAPPER: small_system()[MAPPER] + "\n\ndef channel_for(event):\n    return None\n"},
    "service": changed(CHANNELS, '{"coding": ("stay",)}', '{"coding": ("run",), "coding": ("stay",)}'),
    "upcaster": changed(EVENTS, EVENT, f"{EVENT}    version = 2\n    upcasters = {{1: a, 1: b}}\n"),
    "step of a chain": changed(
        CONSUMER,
        "\nconsumer =",
        "from domainstream import UpcasterChain\n\nCHAIN = UpcasterChain(StayCreated, {1: a, 1: b})\nconsumer =",
    ),
}


@pytest.mark.parametrize("files", TWICE.values(), ids=list(TWICE))
def test_definition_that_replaces_another_is_found(files: dict[str, str], tmp_path: Path) -> None:
    """A definition that replaces an earlier one of the same name is reported at the later one."""
    assert [finding.code for finding in found(tmp_path, files)] == ["DS005"]


ONCE = {
    "alternatives": changed(
        EVENTS,
        "class StayEventType",
        "try:\n    A = 1\nexcept ImportError:\n    A = 2\nif A:\n    class B: ...\nelse:\n    class B: ...\n\n\n"
        "class StayEventType",
    ),
    "overloads": changed(
        MAPPER, "\n\ndef channel_for", "\n\n@overload\ndef b(): ...\n\n\n@overload\ndef b(): ...\n\n\ndef channel_for"
    ),
    "a type and its value": changed(EVENTS, "    stay_id: str\n", '    stay_id: str\n    stay_id = ""\n'),
}


@pytest.mark.parametrize("files", ONCE.values(), ids=list(ONCE))
def test_alternative_definitions_are_left_alone(files: dict[str, str], tmp_path: Path) -> None:
    """Definitions of which only one is ever run, and those that a decorator keeps, may share a name."""
    assert found(tmp_path, files) == []
