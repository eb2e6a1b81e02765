"""Payloads of old versions, brought to the newest one step by step."""

import json
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType, new_class
from typing import Any
from uuid import UUID

import pytest

from domainstream.errors import (
    ConfigurationError,
    EventDecodingError,
    HostileJsonError,
    InvalidPayloadError,
    UnknownEventVersionError,
    UpcasterError,
)
from domainstream.event import BaseEvent, EventDecoder, EventPayload, UpcasterChain
from domainstream.event.upcasting import JsonObject, Upcast

PATIENT = "patient-4711"


class Priced(EventPayload):
    """The payload as it is today."""

    stay_id: UUID
    cents: int
    currency: str
    at: datetime
    by_day: dict[int, int] = {}  # noqa: RUF012


class StayRepriced(BaseEvent[Priced]):
    """Another event, still of version 1."""

    event_type = "domain_valuation_stay_repriced"


def add_currency(payload: JsonObject) -> JsonObject:
    """Make version 2 of version 1: prices have a currency."""
    return {**payload, "currency": "EUR"}


def count_in_cents(payload: JsonObject) -> JsonObject:
    """Make version 3 of version 2: euros become cents."""
    return {**{name: value for name, value in payload.items() if name != "euros"}, "cents": payload["euros"] * 100}


def priced(steps: Mapping[int, Upcast], version: int = 3) -> Any:
    """Return a class of an event that has changed its shape twice, with these upcasters."""
    own = {"event_type": "domain_valuation_stay_priced", "version": version, "upcasters": steps}
    return new_class("StayPriced", (BaseEvent[Priced],), {}, lambda fields: fields.update(own))


STEPS = {1: add_currency, 2: count_in_cents}
STAY = UUID(int=7)
AT = datetime(2026, 1, 2, tzinfo=UTC)
SINCE_EVER = {"stay_id": str(STAY), "at": "2026-01-02T00:00:00Z", "by_day": {"1": 10}}
VERSION_1 = {**SINCE_EVER, "euros": 12}
VERSION_2 = {**VERSION_1, "currency": "CHF"}
VERSION_3 = {**SINCE_EVER, "cents": 1200, "currency": "CHF"}


def message(version: int, data: Any) -> str:
    """Return a message that carries `data` as a payload of `version`."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": "event-1",
            "source": "/services/valuation",
            "type": "domain_valuation_stay_priced",
            "time": "2026-01-02T03:04:05Z",
            "subject": "stay-1",
            "dataschema": f"urn:domainstream:events/domain_valuation_stay_priced/{version}",
            "data": data,
        }
    )


def decoded(version: int, data: Any, steps: Mapping[int, Upcast] = MappingProxyType(STEPS)) -> Any:
    """Return the payload as a consumer gets it."""
    return EventDecoder([priced(steps)]).decode(message(version, data)).payload


def refused(version: int, data: Any, steps: Mapping[int, Upcast] = MappingProxyType(STEPS)) -> EventDecodingError:
    """Return the error that reading the payload raises, after checking that it quotes no value and names the event."""
    with pytest.raises(EventDecodingError) as caught:
        decoded(version, data, steps)
    assert PATIENT not in "".join(traceback.format_exception(caught.value))
    assert caught.value.event_id == "event-1"
    assert caught.value.event_type == "domain_valuation_stay_priced"
    return caught.value


@pytest.mark.parametrize(
    ("version", "data", "currency"), [(1, VERSION_1, "EUR"), (2, VERSION_2, "CHF"), (3, VERSION_3, "CHF")]
)
def test_each_version_is_read_as_the_newest(version: int, data: JsonObject, currency: str) -> None:
    """A payload of any version comes out as an instance of today's class, with all its types."""
    assert decoded(version, data) == Priced(stay_id=STAY, cents=1200, currency=currency, at=AT, by_day={1: 10})


def test_steps_run_from_the_message_s_version_on() -> None:
    """A payload goes through each step from its version to the newest, once and in order, and through none before."""
    taken: list[int] = []

    def noting(step: int, then: Upcast) -> Upcast:
        def upcast(payload: JsonObject) -> JsonObject:
            taken.append(step)
            return then(payload)

        return upcast

    steps = {2: noting(2, count_in_cents), 1: noting(1, add_currency)}
    decoded(1, VERSION_1, steps)
    decoded(2, VERSION_2, steps)
    decoded(3, VERSION_3, steps)
    assert taken == [1, 2, 2]


def test_upcasters_apply_to_their_own_event_only() -> None:
    """The upcasters of a class leave the payloads of other event classes alone."""
    data = message(1, VERSION_3).replace("stay_priced", "stay_repriced")
    read = EventDecoder([priced(STEPS), StayRepriced]).decode(data)
    assert isinstance(read, StayRepriced)
    assert read.payload.cents == 1200


def test_envelope_is_kept() -> None:
    """Upcasting changes the payload, not the event's id, time or aggregate."""
    read = EventDecoder([priced(STEPS)]).decode(message(1, VERSION_1))
    assert read.id == "event-1"
    assert read.aggregate_id == "stay-1"
    assert read.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_upcasters_may_begin_late() -> None:
    """Upcasters may start at a later version; older versions are then unknown."""
    steps = {2: count_in_cents}
    assert decoded(2, VERSION_2, steps).cents == 1200
    assert isinstance(refused(1, VERSION_1, steps), UnknownEventVersionError)


def test_without_upcasters_an_old_version_is_refused_with_what_to_add() -> None:
    """The error for an old version names the line to add to its class."""
    error = refused(1, VERSION_1, {})
    assert isinstance(error, UnknownEventVersionError)
    assert "no upcaster from version 1 to 3; add it in class StayPriced: upcasters = {1: function}" in str(error)


def test_newer_version_is_refused() -> None:
    """A version that this service does not know yet is refused whatever steps there are."""
    error = refused(4, VERSION_3)
    assert isinstance(error, UnknownEventVersionError)
    assert "version 4 is newer than version 3 of StayPriced; update this service" in str(error)


def test_gap_is_refused_with_what_to_add() -> None:
    """A class is not made if its upcasters lack a step between the oldest and the newest version."""
    with pytest.raises(UpcasterError, match=r"no step from version 2 to 3; add 2: function"):
        priced({1: add_currency})


def test_raised_version_needs_a_new_step() -> None:
    """A class that raises the version of its base is not made without the step that leads to it."""
    base = priced(STEPS)
    with pytest.raises(UpcasterError, match=r"no step from version 3 to 4; add 3: function"):
        new_class("StayPriced", (base,), {}, lambda fields: fields.update(version=4))


@pytest.mark.parametrize("step", [3, 4, 0, -1])
def test_step_that_leads_nowhere_is_refused(step: int) -> None:
    """A step from the newest version or beyond, or from a version that cannot be, is refused with the way out."""
    with pytest.raises(UpcasterError, match=rf"from version {step} leads beyond version 3; remove it or raise"):
        priced({**STEPS, step: add_currency})


def test_upcasters_are_a_dictionary() -> None:
    """A class is not made if its upcasters are no dictionary, such as the list that a decoder takes."""
    steps: Any = [add_currency]
    with pytest.raises(UpcasterError, match=r"they are list; write upcasters: ClassVar = \{1: function\}"):
        priced(steps)


@pytest.mark.parametrize(
    ("steps", "version"),
    [
        pytest.param({"1": add_currency}, "'1'", id="text"),
        pytest.param({1: add_currency, "2": count_in_cents}, "'2'", id="number and text"),
        pytest.param({1.0: add_currency}, "1.0", id="fraction"),
        pytest.param({1: None}, "1", id="no function"),
        pytest.param({1: "add_currency"}, "1", id="name of a function"),
    ],
)
def test_upcasters_are_functions_of_versions(steps: Any, version: str) -> None:
    """A class is not made if a key of its upcasters is not a version, or a value is not a function."""
    with pytest.raises(UpcasterError, match=f"the step from version {version} is not a function with a whole number"):
        priced(steps, version=2)


@pytest.mark.parametrize("version", ["2", 0, -1, 1.5, True, None])
def test_versions_are_whole_numbers(version: Any) -> None:
    """A class is not made if its version is not a whole number from 1 on, as readers expect it."""
    with pytest.raises(ConfigurationError, match=f"its version is {version!r}; use a whole number from 1 on"):
        priced({}, version=version)


def test_all_problems_are_listed_at_once() -> None:
    """Upcasters with several gaps and steps beyond are refused with each of them."""
    with pytest.raises(UpcasterError) as caught:
        priced({1: add_currency, 3: add_currency, 5: add_currency})
    assert len(caught.value.problems) == 3
    assert "StayPriced (version 3)" in str(caught.value)


def test_upcasters_cannot_be_changed() -> None:
    """The upcasters of a class cannot be changed after they were checked."""
    given = dict(STEPS)
    event_class = priced(given)
    del given[1]
    assert set(event_class.upcasters) == {1, 2}
    with pytest.raises(TypeError):
        event_class.upcasters[3] = add_currency


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param({**SINCE_EVER, "patient": PATIENT}, "KeyError", id="missing field"),
        pytest.param({**VERSION_1, "euros": None}, "TypeError", id="null"),
        pytest.param([PATIENT], "TypeError", id="array"),
        pytest.param(PATIENT, "TypeError", id="text"),
    ],
)
def test_upcaster_that_fails_is_named_by_its_error(data: Any, kind: str) -> None:
    """Whatever an upcaster raises becomes a decoding error with version and kind, without the payload."""
    error = refused(1, data)
    assert f"the upcasters from version 1 failed with {kind}" in str(error)


@pytest.mark.parametrize(
    "error", [ValueError(PATIENT), LookupError(PATIENT), AssertionError(PATIENT), RecursionError(PATIENT)]
)
def test_words_of_an_upcaster_are_not_passed_on(error: Exception) -> None:
    """The error of a failed upcaster names the exception's class, never its text, which may quote the payload."""

    def failing(_: JsonObject) -> JsonObject:
        raise error

    assert type(error).__name__ in str(refused(2, VERSION_2, {2: failing}))


@pytest.mark.parametrize(
    ("result", "path"),
    [
        pytest.param({**VERSION_3, "cents": PATIENT}, "$.cents", id="wrong field"),
        pytest.param({}, "$", id="nothing"),
        pytest.param(PATIENT, "$", id="text"),
        pytest.param({**VERSION_3, "by_day": {"1": PATIENT}}, "$.by_day[...]", id="in a dictionary"),
    ],
)
def test_result_that_does_not_fit_is_an_invalid_payload(result: Any, path: str) -> None:
    """What the steps lead to is checked against the newest type as any payload is."""
    error = refused(2, VERSION_2, {2: lambda _: result})
    assert isinstance(error, InvalidPayloadError)
    assert error.path == path


def test_result_that_json_cannot_hold_is_refused() -> None:
    """A step that returns a Python object instead of plain values is reported as failed."""
    error = refused(2, VERSION_2, {2: lambda _: {"cents": object()}})
    assert "the upcasters from version 2 failed with TypeError" in str(error)


def test_hostile_message_never_reaches_an_upcaster() -> None:
    """A hostile message is refused before any step runs."""
    data = message(1, VERSION_1).replace('"euros": 12', '"euros": 12, "euros": 13')
    with pytest.raises(HostileJsonError, match="same key twice"):
        EventDecoder([priced(STEPS)]).decode(data)


def chain(event_class: Any, steps: Mapping[int, Upcast]) -> UpcasterChain:
    """Return a chain, after checking that it is deprecated."""
    with pytest.warns(DeprecationWarning, match=r"Write upcasters = \{1: function\} in class StayPriced"):
        return UpcasterChain(event_class, steps)


def test_chains_still_work() -> None:
    """A chain that is given to the decoder does what the upcasters of the class would do, with a warning."""
    event_class = priced({})
    decoder = EventDecoder([event_class], upcasters=[chain(event_class, STEPS)])
    assert decoder.decode(message(1, VERSION_1)).payload.cents == 1200


def test_chains_with_gaps_are_refused() -> None:
    """A chain that lacks a step is refused as upcasters of a class are."""
    with pytest.raises(UpcasterError, match=r"no step from version 2 to 3; add 2: function"):
        chain(priced({}), {1: add_currency})


def test_two_chains_of_one_class_are_refused() -> None:
    """A decoder does not choose between two chains: it names the class and asks to join them."""
    event_class = priced({})
    own = chain(event_class, STEPS)
    with pytest.raises(ConfigurationError, match="StayPriced has two chains"):
        EventDecoder([event_class], upcasters=[own, own])


def test_chain_beside_the_upcasters_of_the_class_is_refused() -> None:
    """A decoder does not choose between a chain and the upcasters of the class: it asks to remove the chain."""
    event_class = priced(STEPS)
    with pytest.raises(ConfigurationError, match=r"StayPriced has upcasters of its own; remove UpcasterChain\(Stay"):
        EventDecoder([event_class], upcasters=[chain(event_class, STEPS)])
