"""Channel names where services and aggregates are known: several words are told apart, and misspelt ones are found."""

import pytest
from support.channels import SERVICES, Services, define, fix_of, problems_of

from domainstream.channel import EventPublisherChannel


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("DOMAIN_CODING_OPTIMIZATION_EVALUATED", ("coding", "optimization", "evaluated")),
        ("DOMAIN_CODING_MEDICAL_STAY_CREATED", ("coding", "medical_stay", "created")),
        (
            "DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED",
            ("coding", "medical_stay", "optimization_evaluated"),
        ),
        ("DOMAIN_MEDICAL_CODING_RUN_STARTED", ("medical_coding", "run", "started")),
    ],
)
def test_names_of_several_words_are_told_apart(name: str, parts: tuple[str, str, str]) -> None:
    """Service and aggregate are the known ones, whatever number of words they have."""
    channel = define(name, services=SERVICES)[name]

    assert (channel.service, channel.aggregate, channel.event_name) == parts


def test_longest_aggregate_that_fits_is_taken() -> None:
    """Of two aggregates that a name may begin with, the longer one is meant."""
    (channel,) = define("DOMAIN_CODING_MEDICAL_STAY_CREATED", services={"coding": ("medical", "medical_stay")})

    assert channel.aggregate == "medical_stay"


def test_longest_service_that_fits_is_taken() -> None:
    """Of two services that a name may begin with, the longer one is meant."""
    services: Services = {"coding": ("run_job",), "coding_run": ("job",)}

    (channel,) = define("DOMAIN_CODING_RUN_JOB_STARTED", services=services)

    assert channel.service == "coding_run"
    assert channel.aggregate == "job"


def test_longer_service_does_not_hide_a_shorter_one_that_fits() -> None:
    """A service is only taken when one of its aggregates follows."""
    services: Services = {"coding": ("run",), "coding_run": ("job",)}

    (channel,) = define("DOMAIN_CODING_RUN_STARTED", services=services)

    assert channel.service == "coding"
    assert channel.aggregate == "run"
    assert channel.event_name == "started"


def test_unknown_service_is_refused() -> None:
    """The refusal lists the services there are, and says where to add one."""
    (problem,) = problems_of("DOMAIN_BILLING_RUN_STARTED", services=SERVICES)

    assert "unknown service (known: coding, medical_coding, valuation)" in problem
    assert "add it to services=" in problem


def test_unknown_aggregate_is_refused() -> None:
    """The refusal lists the aggregates of the service, and says where to add one."""
    (problem,) = problems_of("DOMAIN_CODING_RUN_STARTED", services=SERVICES)

    assert "unknown aggregate of coding (known: optimization, medical_stay)" in problem
    assert "add it to services=" in problem


def test_aggregate_of_another_service_is_unknown() -> None:
    """Each service has aggregates of its own."""
    (problem,) = problems_of("DOMAIN_VALUATION_OPTIMIZATION_EVALUATED", services=SERVICES)

    assert "unknown aggregate of valuation" in problem


def test_service_may_have_no_aggregates_yet() -> None:
    """A name of such a service is refused, saying that none is known yet."""
    (problem,) = problems_of("DOMAIN_BILLING_RUN_STARTED", services={"billing": ()})

    assert "(known: none yet)" in problem


@pytest.mark.parametrize(
    ("aggregate", "plural"),
    [
        ("medical_stay", "MEDICAL_STAYS"),
        ("category", "CATEGORIES"),
        ("address", "ADDRESSES"),
        ("status", "STATUSES"),
        ("analysis", "ANALYSES"),
        ("cookie", "COOKIES"),
        ("person", "PEOPLE"),
    ],
)
def test_plural_of_a_known_aggregate_is_refused(aggregate: str, plural: str) -> None:
    """The refusal gives the whole name with the singular."""
    (problem,) = problems_of(f"DOMAIN_CODING_{plural}_CREATED", services={"coding": (aggregate,)})

    assert f"the aggregate {plural.lower()} is plural" in problem
    assert fix_of(problem) == f"DOMAIN_CODING_{aggregate.upper()}_CREATED"


def test_event_name_may_speak_of_several_things() -> None:
    """A plural behind an aggregate belongs to the event's name."""
    (channel,) = define("DOMAIN_SHOP_ORDER_ITEMS_ADDED", services={"shop": ("order", "order_item")})

    assert channel.aggregate == "order"
    assert channel.event_name == "items_added"


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("stays", "stay"),
        ("medical_stays", "medical_stay"),
        ("boxes", "box"),
        ("categories", "category"),
        ("addresses", "address"),
        ("statuses", "status"),
        ("people", "person"),
    ],
)
def test_plural_aggregate_is_refused_in_services(plural: str, singular: str) -> None:
    """The refusal gives the singular, before any channel uses the aggregate."""
    (problem,) = problems_of(services={"coding": (plural,)})

    assert f"the aggregate {plural!r} is plural" in problem
    assert fix_of(problem) == repr(singular)


@pytest.mark.parametrize(
    "aggregate",
    [
        "status",
        "address",
        "analysis",
        "process",
        "bus",
        "series",
        "alias",
        "canvas",
        "gas",
        "lens",
        "sms",
        "email_alias",
    ],
)
def test_singular_on_s_is_accepted(aggregate: str) -> None:
    """A singular that ends in -s is accepted."""
    (channel,) = define(f"DOMAIN_CODING_{aggregate}_CREATED".upper(), services={"coding": (aggregate,)})

    assert channel.aggregate == aggregate


def test_name_that_ends_with_the_aggregate_is_refused() -> None:
    """A name that ends with its aggregate is reported once, as lacking an event name."""
    (problem,) = problems_of("DOMAIN_CODING_MEDICAL_STAY", services=SERVICES)

    assert "does not say what happened" in problem


@pytest.mark.parametrize(
    ("wrong", "fixed"), [("Coding", "coding"), ("medicalCoding", "medical_coding"), ("a-b", "a_b")]
)
def test_service_is_named_in_lower_case_words(wrong: str, fixed: str) -> None:
    """A service or aggregate in another style is refused with its name in this one."""
    (problem,) = problems_of(services={wrong: ()})

    assert fix_of(problem) == repr(fixed)


def test_aggregates_given_as_one_text_are_refused() -> None:
    """The comma that makes a tuple is asked for, where it was forgotten."""
    problem, *_ = problems_of("DOMAIN_CODING_RUN_STARTED", services={"coding": "run"})

    assert fix_of(problem) == "'coding': ('run',)"


def test_violations_of_services_and_of_names_are_listed_together() -> None:
    """Violations of services and of names are listed in one error."""
    problems = problems_of("DOMAIN_BILLING_RUN_START", services={"coding": ("stays",)})

    assert [problem.partition(":")[0] for problem in problems] == [
        "services",
        "DOMAIN_BILLING_RUN_START",
        "DOMAIN_BILLING_RUN_START",
    ]


def test_services_are_inherited_by_an_enum_that_names_none() -> None:
    """A base without members may hold the services for the enum derived from it."""

    class Shared(EventPublisherChannel, services=SERVICES):
        pass

    class Derived(Shared):
        DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"

    assert Derived.DOMAIN_CODING_MEDICAL_STAY_CREATED.aggregate == "medical_stay"
