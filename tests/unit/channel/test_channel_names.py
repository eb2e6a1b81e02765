"""Channel names: the grammar, the value and uniqueness; every violation is listed at once, with the fix to type."""

from enum import auto

import pytest
from support.channels import define, fix_of, problems_of

from domainstream.channel import EventPublisherChannel
from domainstream.errors import ChannelDefinitionError, DomainStreamError


class GuideChannel(EventPublisherChannel):
    """The enum of the publisher guide."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"


def test_guides_own_enum_is_accepted() -> None:
    """The three channels that the guide shows keep all the rules."""
    assert len(GuideChannel) == 3


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("DOMAIN_CODING_OPTIMIZATION_EVALUATED", ("coding", "optimization", "evaluated")),
        ("DOMAIN_SCREENFLOW_RUN_STARTED", ("screenflow", "run", "started")),
        ("DOMAIN_VALUATION_PRICING_CALCULATED", ("valuation", "pricing", "calculated")),
        ("DOMAIN_CODING_RUN_RE_EVALUATED_FROM_IGNORED", ("coding", "run", "re_evaluated_from_ignored")),
        ("DOMAIN_CODING_ICD10_MAPPED", ("coding", "icd10", "mapped")),
    ],
)
def test_name_has_a_service_an_aggregate_and_an_event_name(name: str, parts: tuple[str, str, str]) -> None:
    """Without known services, the first word is the service, the second the aggregate, the rest the event."""
    channel = define(name)[name]

    assert (channel.service, channel.aggregate, channel.event_name) == parts


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("CODING_OPTIMIZATION_EVALUATED", "DOMAIN_CODING_OPTIMIZATION_EVALUATED"),
        ("Domain_Coding_Optimization_Evaluated", "DOMAIN_CODING_OPTIMIZATION_EVALUATED"),
        ("domainCodingOptimizationEvaluated", "DOMAIN_CODING_OPTIMIZATION_EVALUATED"),
        ("DOMAIN__CODING_OPTIMIZATION_EVALUATED", "DOMAIN_CODING_OPTIMIZATION_EVALUATED"),
        ("DOMAIN_CODING_ICD_10_MAPPED", "DOMAIN_CODING_ICD10_MAPPED"),
        ("DOMAIN_CODING_EVALUATED", "DOMAIN_CODING_EVALUATED_EVENT_NAME"),
        ("DOMAIN", "DOMAIN_SERVICE_AGGREGATE_EVENT_NAME"),
    ],
)
def test_name_outside_the_grammar_is_refused_with_one_inside(name: str, fixed: str) -> None:
    """The refusal shows the grammar and the nearest name that keeps it."""
    (problem,) = problems_of(name)

    assert "DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}" in problem
    assert fix_of(problem) == fixed


def test_value_must_be_the_name_in_lower_case() -> None:
    """A value that differs from its name is refused with the line to type."""
    name = "DOMAIN_CODING_RUN_STARTED"

    (problem,) = problems_of(values={name: "domain.coding.run.started"})

    assert fix_of(problem) == f"{name} = 'domain_coding_run_started'"


def test_value_may_be_left_to_auto() -> None:
    """`auto()` gives the name in lower case."""

    class Automatic(EventPublisherChannel):
        DOMAIN_CODING_RUN_STARTED = auto()

    assert Automatic.DOMAIN_CODING_RUN_STARTED.value == "domain_coding_run_started"


def test_two_channels_must_not_share_a_value() -> None:
    """The second of two equal values is refused with the value it should have."""
    values = {
        "DOMAIN_CODING_RUN_STARTED": "domain_coding_run_started",
        "DOMAIN_CODING_RUN_ENDED": "domain_coding_run_started",
    }

    (problem,) = problems_of(values=values)

    assert problem.startswith("DOMAIN_CODING_RUN_ENDED: has the same value as DOMAIN_CODING_RUN_STARTED")
    assert fix_of(problem) == "DOMAIN_CODING_RUN_ENDED = 'domain_coding_run_ended'"


def test_repeated_value_does_not_hide_what_else_is_wrong() -> None:
    """A channel that repeats a value is held to the other rules as well."""
    values = {
        "DOMAIN_CODING_RUN_STARTED": "domain_coding_run_started",
        "DOMAIN_CODING_RUN_END": "domain_coding_run_started",
    }

    assert len(problems_of(values=values)) == 2


def test_all_violations_are_listed_in_one_error() -> None:
    """Each broken rule of each member has its own line, also two of one member."""
    values = {
        "CODING_RUN_STARTED": "coding_run_started",
        "DOMAIN_CODING_RUN_STARTED": "domain_coding_run_started",
        "DOMAIN_CODING_RUN_EVALUATE": "evaluate",
        "DOMAIN_CODING_RUN_RESTARTED": "domain_coding_run_started",
    }

    problems = problems_of(values=values)

    assert [problem.partition(":")[0] for problem in problems] == [
        "CODING_RUN_STARTED",
        "DOMAIN_CODING_RUN_EVALUATE",
        "DOMAIN_CODING_RUN_EVALUATE",
        "DOMAIN_CODING_RUN_RESTARTED",
    ]


def test_message_names_the_enum_and_lists_every_problem() -> None:
    """The error's message lists its problems, one per line, under the name of the class."""
    with pytest.raises(ChannelDefinitionError) as refusal:
        define("DOMAIN_CODING_RUN_START", "DOMAIN_CODING_RUN_END")

    heading, *lines = str(refusal.value).splitlines()
    assert heading.startswith("Channel breaks the rules")
    assert lines == [f"  - {problem}" for problem in refusal.value.problems]


def test_refusal_is_one_of_our_errors() -> None:
    """`DomainStreamError` catches a refused enum."""
    with pytest.raises(DomainStreamError):
        define("DOMAIN")


def test_enum_without_channels_is_accepted() -> None:
    """A system may start with no channel at all."""
    assert list(define()) == []


def test_channel_equals_its_value() -> None:
    """A member is a string, as members of `StrEnum` are."""
    (channel,) = define("DOMAIN_CODING_RUN_STARTED")

    assert channel == "domain_coding_run_started"


def test_channel_is_found_by_its_value_in_a_mapping() -> None:
    """A member used as a key is also found by the plain value."""
    table = {GuideChannel.DOMAIN_CODING_MEDICAL_STAY_CREATED: 1}

    assert table["domain_coding_medical_stay_created"] == 1  # type: ignore[index]


def test_channel_is_found_by_calling_the_enum_with_its_value() -> None:
    """The enum gives the member of a value, as any enum does."""
    channel = GuideChannel("domain_coding_medical_stay_created")

    assert channel is GuideChannel.DOMAIN_CODING_MEDICAL_STAY_CREATED
