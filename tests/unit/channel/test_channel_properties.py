"""What holds for every channel name, tried with words drawn at random."""

import string

from hypothesis import given
from hypothesis import strategies as st
from support.channels import define, fix_of, problems_of

from domainstream.errors import ChannelDefinitionError

LETTERS = string.ascii_lowercase
WORD = st.text(LETTERS, min_size=1, max_size=8)
NAME = st.lists(WORD, min_size=1, max_size=3).map("_".join)
PAST = st.sampled_from(["sent", "paid", "evaluated", "built", "re_evaluated_from_ignored", "withdrawn", "items_added"])
SINGULAR = NAME.map(lambda name: f"{name}x")
ANYTHING = st.text(string.ascii_letters + string.digits + "_-. ", min_size=1, max_size=40).filter(
    lambda name: not name.startswith("_") and not name.endswith("_") and name.strip()
)


@given(service=WORD, aggregate=WORD, event_name=PAST)
def test_name_built_from_single_words_is_accepted_and_read_back(service: str, aggregate: str, event_name: str) -> None:
    """Whatever service and aggregate of one word are joined, the channel gives them back."""
    (channel,) = define(f"domain_{service}_{aggregate}_{event_name}".upper())

    assert channel.service == service
    assert channel.aggregate == aggregate
    assert channel.event_name == event_name


@given(service=NAME, aggregate=SINGULAR, event_name=PAST)
def test_name_built_from_known_parts_is_accepted_and_read_back(service: str, aggregate: str, event_name: str) -> None:
    """Whatever known service and aggregate are joined, of any number of words, the channel gives them back."""
    (channel,) = define(f"domain_{service}_{aggregate}_{event_name}".upper(), services={service: (aggregate,)})

    assert channel.service == service
    assert channel.aggregate == aggregate
    assert channel.event_name == event_name


@given(services=st.dictionaries(NAME, st.lists(SINGULAR, min_size=1, unique=True), min_size=1), data=st.data())
def test_name_built_from_known_parts_is_accepted_whatever_else_is_known(
    services: dict[str, list[str]], data: st.DataObject
) -> None:
    """Other services and aggregates never make a good name a bad one."""
    service = data.draw(st.sampled_from(sorted(services)))
    aggregate = data.draw(st.sampled_from(services[service]))

    (channel,) = define(f"domain_{service}_{aggregate}_sent".upper(), services=services)

    assert channel.value == f"domain_{channel.service}_{channel.aggregate}_{channel.event_name}"


@given(word=st.text(string.ascii_uppercase, min_size=1, max_size=10))
def test_what_is_suggested_for_a_missing_past_tense_is_accepted(word: str) -> None:
    """A word is either accepted as past, or refused with a name that is."""
    name = f"DOMAIN_SHOP_ORDER_{word}"

    try:
        define(name)
    except ChannelDefinitionError as refusal:
        (problem,) = refusal.problems
        name = fix_of(problem)

    assert name in define(name).__members__


@given(service=NAME, aggregate=SINGULAR, word=st.sampled_from(["send", "evaluate", "need", "creating", "a", "mp3"]))
def test_what_is_suggested_for_a_missing_past_tense_keeps_the_known_parts(
    service: str, aggregate: str, word: str
) -> None:
    """The suggested name is accepted for the same service and aggregate."""
    services = {service: (aggregate,)}
    (problem,) = problems_of(f"domain_{service}_{aggregate}_{word}".upper(), services=services)

    (channel,) = define(fix_of(problem), services=services)

    assert channel.service == service
    assert channel.aggregate == aggregate


@given(name=ANYTHING)
def test_what_is_suggested_for_a_name_outside_the_grammar_is_inside(name: str) -> None:
    """Where a name breaks the grammar, the suggested one keeps it."""
    problem = _grammar_problem(name)

    assert problem is None or _grammar_problem(fix_of(problem)) is None


def _grammar_problem(name: str) -> str | None:
    try:
        define(name)
    except ChannelDefinitionError as refusal:
        return next((problem for problem in refusal.problems if "expected DOMAIN_" in problem), None)
    return None
