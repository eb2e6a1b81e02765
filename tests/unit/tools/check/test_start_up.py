"""`check` and start-up report the same about channels and subscriptions, in the same words."""

from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checking import CHANNELS, SUBSCRIPTIONS, write_system

from domainstream.errors import ChannelDefinitionError, SubscriptionError
from domainstream.tools.check import check_project

SERVICES = [
    None,
    {"coding": ("stay", "medical_stay"), "valuation": ("pricing",)},
    {"coding": ("stays",), "Coding Two": ("run",)},
    {"coding_two": ("run",), "coding": ("two_run",)},
]

names = st.lists(
    st.sampled_from(
        [
            "DOMAIN",
            "CODING",
            "VALUATION",
            "TWO",
            "STAY",
            "STAYS",
            "MEDICAL",
            "PRICING",
            "RUN",
            "CREATED",
            "CREATE",
            "2",
            "X1",
            "Coding",
        ]
    ),
    min_size=1,
    max_size=6,
).map("_".join)
members = st.dictionaries(names.filter(str.isidentifier), st.one_of(st.none(), names.map(str.lower)), max_size=4)


def enum_text(values: dict[str, str | None], services: object) -> str:
    """Return the file of an enum; None is replaced by the right value."""
    lines = [f"{name} = {(name.lower() if value is None else value)!r}" for name, value in values.items()]
    given = "" if services is None else f", services={services!r}"
    head = "from domainstream import EventPublisherChannel\n\n\n"
    return f"{head}class Channel(EventPublisherChannel{given}):\n{indent(chr(10).join(lines or ['pass']), '    ')}\n"


def problems_at_start_up(text: str) -> list[str]:
    """Run a file and return what it is refused for."""
    try:
        exec(compile(text, "channels.py", "exec"), {"__name__": "channels"})  # noqa: S102 - made by this test
    except ChannelDefinitionError as error:
        return sorted(error.problems)
    return []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=members, services=st.sampled_from(SERVICES))
def test_channels_are_judged_alike(tmp_path: Path, values: dict[str, str | None], services: Any) -> None:
    """`check` and start-up report the same problems of an enum of channels, in the same words."""
    text = enum_text(values, services)
    findings = check_project(write_system(tmp_path, {CHANNELS: text}))
    reported = [f"{one.message}; {one.fix}" for one in findings if one.code.startswith("DS10")]
    assert sorted(reported) == problems_at_start_up(text)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ("", "DS401"),
        ("Channel.DOMAIN_CODING_STAY_CREATED: [to_queue('q', job='j'), to_queue('q', job='j')]", "DS403"),
    ],
)
def test_subscriptions_are_judged_alike(entries: str, code: str, tmp_path: Path) -> None:
    """What a subscriber refuses to start with is also a finding of `check`, in the same words."""
    channels = enum_text({"DOMAIN_CODING_STAY_CREATED": None, "DOMAIN_CODING_STAY_CLOSED": None}, None)
    table = f"{{Channel.DOMAIN_CODING_STAY_CLOSED: [], {entries}}}"
    text = "from domainstream.subscriber import create_multiple_handlers, to_queue\n"
    root = write_system(
        tmp_path,
        {
            CHANNELS: channels,
            SUBSCRIPTIONS: f"{text}from contracts.event_publisher_channels import Channel\n\n"
            f"subscriptions = create_multiple_handlers({table})\n",
        },
    )
    (finding,) = [one for one in check_project(root) if one.code.startswith("DS4") and one.code != "DS404"]
    assert finding.code == code
    program = f"{channels}\n{text}create_multiple_handlers({table})\n"
    with pytest.raises(SubscriptionError) as refused:
        exec(compile(program, "subscriptions.py", "exec"), {"__name__": "subscriptions"})  # noqa: S102 - made here
    (problem,) = refused.value.problems
    assert finding.message.split(": ")[-1].removesuffix(" from the subscriptions") in problem
