"""The golden files of `docs/wire-format`: written byte for byte, and read, as the wire format says."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload, read_message
from domainstream.event.upcasting import JsonObject

WIRE_FORMAT = Path(__file__).parents[3] / "docs" / "wire-format"


class Drafted(EventPayload):
    """The payload of the minimal event."""

    stay_id: str


class MedicalStayDrafted(BaseEvent[Drafted]):
    """The event of `minimal_event.json`."""

    event_type = "domain_coding_medical_stay_drafted"


class Code(EventPayload):
    """One diagnosis."""

    label: str
    weight: float


class Evaluated(EventPayload):
    """The payload of the full event; version 1 had euros instead of cents and a currency."""

    stay_id: str
    score: float
    cents: int
    currency: str
    discount: Decimal | None = None
    codes: dict[str, Code] = {}  # noqa: RUF012
    reviewed: bool = False


def euros_to_cents(payload: JsonObject) -> JsonObject:
    """Make version 2 of version 1."""
    return {
        "stay_id": payload["stay_id"],
        "score": payload["score"],
        "cents": payload["euros"] * 100,
        "currency": "EUR",
    }


class OptimizationEvaluated(BaseEvent[Evaluated]):
    """The event of `full_event.json`, `old_version.json` and `job.json`."""

    event_type = "domain_coding_optimization_evaluated"
    version = 2
    upcasters: ClassVar = {1: euros_to_cents}


TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=value"}
MINIMAL = MedicalStayDrafted(
    aggregate_id="stay-1",
    payload=Drafted(stay_id="stay-1"),
    id="019b7ca9-8c88-7000-8000-000000000001",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)
FULL = OptimizationEvaluated(
    aggregate_id="optimization-1",
    payload=Evaluated(
        stay_id="stay-1",
        score=0.875,
        cents=9007199254740991,
        currency="EUR",
        discount=Decimal("12.50"),
        codes={"J18.9": Code(label='Pneumonie, "non précisée" 🫁', weight=1.5)},
        reviewed=True,
    ),
    id="019b7ca9-916a-7000-8000-000000000002",
    occurred_at=datetime(2026, 1, 2, 3, 4, 6, 250000, tzinfo=UTC),
    correlation_id="019b7ca9-8c88-7000-8000-000000000001",
    causation_id="019b7ca9-8c88-7000-8000-000000000001",
    partition_key="stay-1",
    sequence=42,
)
OLD = OptimizationEvaluated(
    aggregate_id="optimization-1",
    payload=Evaluated(stay_id="stay-1", score=0.5, cents=120000, currency="EUR"),
    id="018cc820-d888-7000-8000-000000000003",
    occurred_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
)
DECODER = EventDecoder([MedicalStayDrafted, OptimizationEvaluated])


def golden(name: str) -> bytes:
    """Return the content of a golden file, without the line feed at its end."""
    return (WIRE_FORMAT / name).read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize(
    ("name", "event", "trace"), [("minimal_event.json", MINIMAL, None), ("full_event.json", FULL, TRACE)]
)
def test_encoder_writes_the_golden_file(name: str, event: BaseEvent[Any], trace: dict[str, str] | None) -> None:
    """An event is written byte for byte as its golden file shows."""
    assert EventEncoder("coding").encode(event, trace) == golden(name)


@pytest.mark.parametrize(
    ("name", "event"),
    [("minimal_event.json", MINIMAL), ("full_event.json", FULL), ("old_version.json", OLD), ("job.json", FULL)],
)
def test_decoder_reads_the_golden_file(name: str, event: BaseEvent[Any]) -> None:
    """Each golden file is read as the event it shows, the old version through its upcaster."""
    assert DECODER.decode(golden(name)) == event


def test_full_event_has_every_attribute() -> None:
    """The golden file of a full event leaves out no attribute of the envelope."""
    assert set(json.loads(golden("full_event.json"))) == set(read_message(golden("full_event.json")).__struct_fields__)


def test_job_is_the_event_and_where_it_came_from() -> None:
    """A job's data is the stream entry's, byte for byte, followed by `_redisEvent` and `correlationId`."""
    event, job = golden("full_event.json"), golden("job.json")
    assert job.startswith(event.removesuffix(b"}") + b",")
    added = json.loads(b"{" + job.removeprefix(event.removesuffix(b"}") + b","))
    assert added == {
        "_redisEvent": {
            "name": "domain_coding_optimization_evaluated",
            "id": "1767323046251-0",
            "timestamp": 1767323046251,
        },
        "correlationId": FULL.correlation_id,
    }


def test_every_golden_file_is_tested() -> None:
    """No golden file lies in `docs/wire-format` without being read here."""
    assert {path.name for path in WIRE_FORMAT.glob("*.json")} == {
        "minimal_event.json",
        "full_event.json",
        "old_version.json",
        "job.json",
    }


@pytest.mark.parametrize("name", [path.name for path in sorted(WIRE_FORMAT.glob("*.json"))])
def test_page_names_every_golden_file(name: str) -> None:
    """The description of the wire format links to each golden file."""
    assert f"({name})" in (WIRE_FORMAT / "README.md").read_text(encoding="utf-8")
