"""Payloads of old versions, brought to the newest one step by step."""

import json
import traceback
from datetime import UTC, datetime
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


class StayPriced(BaseEvent[Priced]):
    """An event that has changed its shape twice."""

    event_type = "domain_valuation_stay_priced"
    version = 3


class StayRepriced(BaseEvent[Priced]):
    """Another event, still of version 1."""

    event_type = "domain_valuation_stay_repriced"


def add_currency(payload: JsonObject) -> JsonObject:
    """Make version 2 of version 1: prices have a currency."""
    return {**payload, "currency": "EUR"}


def count_in_cents(payload: JsonObject) -> JsonObject:
    """Make version 3 of version 2: euros become cents."""
    return {**{name: value for name, value in payload.items() if name != "euros"}, "cents": payload["euros"] * 100}


CHAIN = UpcasterChain(StayPriced, {1: add_currency, 2: count_in_cents})
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


def decoded(version: int, data: Any, chain: UpcasterChain | None = CHAIN) -> Any:
    """Return the payload as a consumer gets it."""
    return EventDecoder([StayPriced], upcasters=[] if chain is None else [chain]).decode(message(version, data)).payload


def refused(version: int, data: Any, chain: UpcasterChain | None = CHAIN) -> EventDecodingError:
    """Return the error that reading the payload raises, after checking that it quotes no value and names the event."""
    with pytest.raises(EventDecodingError) as caught:
        decoded(version, data, chain)
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

    chain = UpcasterChain(StayPriced, {2: noting(2, count_in_cents), 1: noting(1, add_currency)})
    decoded(1, VERSION_1, chain)
    decoded(2, VERSION_2, chain)
    decoded(3, VERSION_3, chain)
    assert taken == [1, 2, 2]


def test_chain_applies_to_its_own_event_only() -> None:
    """A chain leaves the payloads of other event classes alone."""
    data = message(1, VERSION_3).replace("stay_priced", "stay_repriced")
    read = EventDecoder([StayPriced, StayRepriced], upcasters=[CHAIN]).decode(data)
    assert isinstance(read, StayRepriced)
    assert read.payload.cents == 1200


def test_envelope_is_kept() -> None:
    """Upcasting changes the payload, not the event's id, time or aggregate."""
    read = EventDecoder([StayPriced], upcasters=[CHAIN]).decode(message(1, VERSION_1))
    assert read.id == "event-1"
    assert read.aggregate_id == "stay-1"
    assert read.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_chain_may_begin_late() -> None:
    """A chain may start at a later version; older versions are then unknown."""
    chain = UpcasterChain(StayPriced, {2: count_in_cents})
    assert decoded(2, VERSION_2, chain).cents == 1200
    assert isinstance(refused(1, VERSION_1, chain), UnknownEventVersionError)


def test_without_upcasters_an_old_version_is_refused_with_what_to_add() -> None:
    """The error for an old version names the chain to add."""
    error = refused(1, VERSION_1, chain=None)
    assert isinstance(error, UnknownEventVersionError)
    assert "no upcaster from version 1 to 3; add one: UpcasterChain(StayPriced, {1: function})" in str(error)


def test_newer_version_is_refused() -> None:
    """A version that this service does not know yet is refused whatever steps there are."""
    error = refused(4, VERSION_3)
    assert isinstance(error, UnknownEventVersionError)
    assert "version 4 is newer than version 3 of StayPriced; update this service" in str(error)


def test_gap_is_refused_at_registration_with_what_to_add() -> None:
    """A chain that lacks a step between the oldest and the newest version is not made."""
    with pytest.raises(UpcasterError, match=r"no step from version 2 to 3; add 2: function"):
        UpcasterChain(StayPriced, {1: add_currency})


@pytest.mark.parametrize("step", [3, 4, 0, -1])
def test_step_that_leads_nowhere_is_refused(step: int) -> None:
    """A step from the newest version or beyond, or from a version that cannot be, is refused with the way out."""
    with pytest.raises(UpcasterError, match=rf"from version {step} leads beyond version 3; remove it or raise"):
        UpcasterChain(StayPriced, {1: add_currency, 2: count_in_cents, step: add_currency})


def test_all_problems_are_listed_at_once() -> None:
    """A chain with several gaps and steps beyond is refused with each of them."""
    with pytest.raises(UpcasterError) as caught:
        UpcasterChain(StayPriced, {1: add_currency, 3: add_currency, 5: add_currency})
    assert len(caught.value.problems) == 3
    assert "StayPriced (version 3)" in str(caught.value)


def test_chain_cannot_be_changed() -> None:
    """The steps of a chain cannot be changed after it was checked."""
    given = {1: add_currency, 2: count_in_cents}
    chain = UpcasterChain(StayPriced, given)
    del given[1]
    assert set(chain.steps) == {1, 2}
    with pytest.raises(TypeError):
        chain.steps[3] = add_currency  # type: ignore[index]


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

    assert type(error).__name__ in str(refused(2, VERSION_2, UpcasterChain(StayPriced, {2: failing})))


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
    error = refused(2, VERSION_2, UpcasterChain(StayPriced, {2: lambda _: result}))
    assert isinstance(error, InvalidPayloadError)
    assert error.path == path


def test_result_that_json_cannot_hold_is_refused() -> None:
    """A step that returns a Python object instead of plain values is reported as failed."""
    error = refused(2, VERSION_2, UpcasterChain(StayPriced, {2: lambda _: {"cents": object()}}))
    assert "the upcasters from version 2 failed with TypeError" in str(error)


def test_hostile_message_never_reaches_an_upcaster() -> None:
    """A hostile message is refused before any step runs."""
    data = message(1, VERSION_1).replace('"euros": 12', '"euros": 12, "euros": 13')
    with pytest.raises(HostileJsonError, match="same key twice"):
        EventDecoder([StayPriced], upcasters=[CHAIN]).decode(data)


def test_two_chains_of_one_class_are_refused() -> None:
    """A decoder does not choose between two chains: it names the class and asks to join them."""
    with pytest.raises(ConfigurationError, match="StayPriced has two chains"):
        EventDecoder([StayPriced], upcasters=[CHAIN, CHAIN])
