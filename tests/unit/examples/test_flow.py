"""The example's whole flow in one process: from a stay handed in to its price, without a server."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import wire as wire_coding
from coding.domain_layer.medical_stay.medical_stay import MedicalStay, StayStatus
from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from domainstream import MemoryPublisher, Outcome
from domainstream.queue import Job
from domainstream.stream import Delivery
from domainstream.subscriber import Sorter
from domainstream.worker import GiveUp, ReceivedJob
from screenflow.bootstrap import wire as wire_screenflow
from screenflow.domain_layer.run.run_events import RunStarted, RunStartedPayload
from valuation.bootstrap import wire as wire_valuation

STAY = MedicalStay(
    stay_id="stay-1",
    ward="cardiology",
    age_years=80,
    length_of_stay_days=9,
    principal_diagnosis="I50.1",
    coded_diagnoses=("I48.1",),
    documented_diagnoses=("I48.1", "N18.4"),
)


class Hospital:
    """All services of Python on one publisher in memory; `settle` carries events to handlers until none is new."""

    def __init__(self) -> None:
        self.publisher = MemoryPublisher()
        self.coding = wire_coding(self.publisher)
        self.screenflow = wire_screenflow(self.publisher)
        self.valuation = wire_valuation(self.publisher)
        services = (self.coding, self.screenflow, self.valuation)
        self._consumers = {service.consumer.queue: service.consumer for service in services}
        self._seen: set[tuple[str, str]] = set()

    async def settle(self) -> None:
        """Handle every entry once."""
        while jobs := list(self._new_jobs()):
            for job in jobs:
                await self.handle(job)

    async def handle(self, job: Job) -> None:
        """Handle a job with the consumer of its queue."""
        received = ReceivedJob(id=job.id, name=job.name, attempt=1, data=job.data.decode())
        await self._consumers[job.queue].handle(received)

    def jobs_of(self, channel: Channel) -> list[Job]:
        """Return the jobs that services of Python have of everything published to `channel`."""
        entries = self.publisher.streams.get(channel, [])
        parcels = Sorter(subscriptions).sort([Delivery(channel, entry_id, data) for entry_id, data in entries])
        return [job for parcel in parcels for job in parcel.jobs if job.queue in self._consumers]

    def published(self, channel: Channel) -> list[dict[str, Any]]:
        """Return the messages of a channel."""
        return [msgspec.json.decode(data) for _, data in self.publisher.streams.get(channel, [])]

    def _new_jobs(self) -> Iterable[Job]:
        for channel in Channel:
            for job in self.jobs_of(channel):
                if (job.queue, job.id) not in self._seen:
                    self._seen.add((job.queue, job.id))
                    yield job


@pytest.fixture
def hospital() -> Hospital:
    """A hospital that has seen no stay."""
    return Hospital()


async def hand_in(hospital: Hospital, stay: MedicalStay) -> None:
    """Hand `stay` in and let everything happen."""
    await hand_in_stays([stay], producer=hospital.coding.producer, known=hospital.coding.stays)
    await hospital.settle()


async def test_a_stay_is_screened_optimised_and_priced(hospital: Hospital) -> None:
    """One event on each channel but the one of failed runs, and every service knows the result."""
    await hand_in(hospital, STAY)
    counts = {channel: len(hospital.published(channel)) for channel in Channel}
    assert counts == {channel: int(channel is not Channel.DOMAIN_SCREENFLOW_RUN_FAILED) for channel in Channel}
    stay = hospital.coding.stays.get("stay-1")
    price = hospital.published(Channel.DOMAIN_VALUATION_PRICING_CALCULATED)[0]["data"]["amount_cents"]
    assert (stay.status, stay.price_cents) == (StayStatus.PRICED, price)
    assert hospital.screenflow.runs.diagnosis_groups == {"stay-1": "F62B"}


async def test_a_mistyped_stay_is_reopened(hospital: Hospital) -> None:
    """Its run fails, and nothing else happens."""
    await hand_in(hospital, replace(STAY, principal_diagnosis="I501"))
    assert hospital.coding.stays.get("stay-1").status is StayStatus.REOPENED
    assert len(hospital.published(Channel.DOMAIN_SCREENFLOW_RUN_FAILED)) == 1
    assert hospital.published(Channel.DOMAIN_SCREENFLOW_RUN_STARTED) == []


async def test_the_draft_is_not_published(hospital: Hospital) -> None:
    """Its receipt says so; the stay's says that it was."""
    receipts = await hand_in_stays([STAY], producer=hospital.coding.producer, known=hospital.coding.stays)
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_PUBLISHED, Outcome.PUBLISHED]


async def test_every_event_carries_the_correlation_of_its_stay_and_its_cause(hospital: Hospital) -> None:
    """The chain of causes leads from the price back to the draft."""
    await hand_in(hospital, STAY)
    chain = (
        Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED,
        Channel.DOMAIN_SCREENFLOW_RUN_STARTED,
        Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED,
        Channel.DOMAIN_VALUATION_PRICING_CALCULATED,
    )
    events = [hospital.published(channel)[0] for channel in chain]
    draft = events[0]["causationid"]
    assert [event["correlationid"] for event in events] == [draft] * 4
    assert [event["causationid"] for event in events] == [draft, *(event["id"] for event in events[:-1])]
    assert [event["source"] for event in events[1:3]] == ["/services/screenflow", "/services/coding"]


async def test_a_handler_that_runs_twice_publishes_the_same_ids(hospital: Hospital) -> None:
    """So the subscriber gives the repeat the same job ids, and no later handler runs twice."""
    await hand_in(hospital, STAY)
    for channel in Channel:
        for job in hospital.jobs_of(channel):
            await hospital.handle(job)
    for channel in Channel:
        jobs = hospital.jobs_of(channel)
        assert len({job.id for job in jobs}) == min(1, len(jobs))


async def test_an_unknown_stay_is_given_up(hospital: Hospital) -> None:
    """No later attempt would find it."""
    started = RunStarted(aggregate_id="run-1", payload=RunStartedPayload(stay_id="stay-9", findings=()))
    await hospital.screenflow.producer.publish(started)
    with pytest.raises(GiveUp, match="stay-9"):
        await hospital.settle()
