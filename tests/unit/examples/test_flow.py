"""The example's whole flow in one process: from a stay handed in to its price, without a server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace as replace_struct
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.bootstrap import wire as wire_billing
from billing.domain_layer.bill import Bill
from coding.application_layer.change_stays import cancel_stay, recode_stay
from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import wire as wire_coding
from coding.domain_layer.medical_stay.medical_stay import MedicalStay, StayStatus
from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.database import open_database
from coding.infrastructure_layer.persistence.sql_medical_stays import SqlMedicalStays, UnknownStayError
from contracts.bull_mq_jobs import BullMqJobs
from contracts.bull_mq_queues import BullMqQueues
from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from domainstream import Outcome, Receipt
from domainstream.subscriber import Subscriptions, create_multiple_handlers
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import Next, PreparedCall
from screenflow.bootstrap import wire as wire_screenflow
from screenflow.domain_layer.run.run_events import RunFailed, RunStarted, RunStartedPayload
from valuation.bootstrap import wire as wire_valuation
from valuation.domain_layer.pricing.pricing_events import PricingCalculated

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
    """All services of Python in one flow; the queue `notifications`, which Node works, only keeps its jobs."""

    def __init__(self, engine: AsyncEngine, subscribed: Subscriptions = subscriptions) -> None:
        self.flow = EventFlow(subscribed, other_queues="keep")
        self.flow.relay(outbox, engine)
        self.coding = wire_coding(outbox, engine)
        self.screenflow = wire_screenflow(self.flow.publisher)
        self.valuation = wire_valuation(self.flow.publisher)
        self.billing = wire_billing()
        for service in (self.coding, self.screenflow, self.valuation, self.billing):
            self.flow.add_consumer(service.consumer)

    async def hand_in(self, stay: MedicalStay) -> list[Receipt]:
        """Hand `stay` in and let everything happen."""
        receipts = await hand_in_stays([stay], outbox=outbox, sessions=self.coding.sessions)
        await self.flow.settle()
        return receipts

    async def recode(self, *coded_diagnoses: str) -> None:
        """Code `STAY` again."""
        await recode_stay(
            STAY.stay_id,
            principal_diagnosis=STAY.principal_diagnosis,
            coded_diagnoses=coded_diagnoses,
            outbox=outbox,
            sessions=self.coding.sessions,
        )

    async def stay(self, stay_id: str) -> MedicalStay:
        """Return a stay as coding has it."""
        async with self.coding.sessions() as session:
            return await SqlMedicalStays(session).get(stay_id)


@pytest.fixture
async def hospital() -> AsyncIterator[Hospital]:
    """A hospital that has seen no stay."""
    async with open_database("sqlite+aiosqlite://") as engine:
        yield Hospital(engine)


@pytest.fixture
async def disordered() -> AsyncIterator[Hospital]:
    """The same hospital without the rule that keeps the jobs of its queues in order."""
    handlers = {
        channel: [replace_struct(one, order_by=None) for one in each] for channel, each in subscriptions.items()
    }
    async with open_database("sqlite+aiosqlite://") as engine:
        yield Hospital(engine, create_multiple_handlers(handlers))


async def test_stay_is_screened_optimised_and_priced(hospital: Hospital) -> None:
    """One event on each channel but those of failed runs and of changes, and every service knows the result."""
    await hospital.hand_in(STAY)
    counts = {channel: len(hospital.flow.published(channel)) for channel in Channel}
    none = {
        Channel.DOMAIN_SCREENFLOW_RUN_FAILED,
        Channel.DOMAIN_CODING_MEDICAL_STAY_RECODED,
        Channel.DOMAIN_CODING_MEDICAL_STAY_CANCELLED,
    }
    assert counts == {channel: int(channel not in none) for channel in Channel}
    stay = await hospital.stay("stay-1")
    [price] = hospital.flow.handled(PricingCalculated)
    assert stay.status == StayStatus.PRICED
    assert stay.price_cents == price.payload.amount_cents
    assert hospital.screenflow.runs.diagnosis_groups == {"stay-1": "F62B"}
    assert hospital.billing.bills.of("stay-1") == Bill(stay_id="stay-1", diagnoses=("I50.1", "I48.1"))


class FailsOnce:
    """A middleware in front of a service whose first event fails once."""

    def __init__(self) -> None:
        self.has_failed = False

    async def __call__(self, call: PreparedCall, call_next: Next) -> None:
        """Fail the first call."""
        if not self.has_failed:
            self.has_failed = True
            raise ConnectionError("the database does not answer")
        await call_next(call)


async def code_twice(hospital: Hospital) -> tuple[MedicalStay, list[int]]:
    """Hand in a stay, and code it again with a diagnosis more, while the first pricing waits for its next attempt.

    Returns the stay in the end, and its prices in the order in which they were calculated.
    """
    hospital.valuation.consumer.add_middleware(FailsOnce())
    await hand_in_stays([STAY], outbox=outbox, sessions=hospital.coding.sessions)
    await hospital.flow.advance(timedelta())
    await hospital.recode("I48.1", "R65.1")
    await hospital.flow.settle()
    prices = [price.payload.amount_cents for price in hospital.flow.published(PricingCalculated)]
    return await hospital.stay("stay-1"), prices


async def test_stay_that_is_coded_again_has_its_last_price(hospital: Hospital) -> None:
    """Although the first pricing fails at first, the second one waits for it."""
    stay, prices = await code_twice(hospital)
    assert len(prices) == 2
    assert stay.price_cents == max(prices) == prices[-1]


async def test_without_order_it_has_its_first_price(disordered: Hospital) -> None:
    """Control: the second pricing overtakes the first, whose price replaces it."""
    stay, prices = await code_twice(disordered)
    assert stay.price_cents == min(prices) == prices[-1]


async def code_recode_and_cancel(hospital: Hospital) -> tuple[list[str], tuple[str, ...]]:
    """Hand in a stay, code it again and cancel it, while its first bill waits for its next attempt.

    Returns billing's jobs in the order in which they were completed, and the diagnoses that are billed in the end.
    """
    completed = list[str]()

    async def note(call: PreparedCall, call_next: Next) -> None:
        await call_next(call)
        completed.append(call.context.job_name)

    hospital.billing.consumer.add_middleware(FailsOnce())
    hospital.billing.consumer.add_middleware(note)
    await hand_in_stays([STAY], outbox=outbox, sessions=hospital.coding.sessions)
    await hospital.flow.advance(timedelta())
    await hospital.recode("I48.1", "R65.1")
    await cancel_stay("stay-1", outbox=outbox, sessions=hospital.coding.sessions)
    await hospital.flow.settle()
    bill = hospital.billing.bills.of("stay-1")
    assert bill is not None
    return completed, bill.diagnoses


async def test_cancelled_stay_is_not_billed(hospital: Hospital) -> None:
    """A stay is billed as coded, as coded again and as cancelled, in that order, although its first bill fails."""
    jobs = [BullMqJobs.BILL_STAY, BullMqJobs.CORRECT_BILL, BullMqJobs.CANCEL_BILL]
    assert await code_recode_and_cancel(hospital) == (jobs, ())
    assert (await hospital.stay("stay-1")).status is StayStatus.CANCELLED


async def test_without_order_it_is_billed_as_it_was_coded_first(disordered: Hospital) -> None:
    """Control: the cancellation overtakes the first bill, which then replaces it."""
    jobs = [BullMqJobs.CORRECT_BILL, BullMqJobs.CANCEL_BILL, BullMqJobs.BILL_STAY]
    assert await code_recode_and_cancel(disordered) == (jobs, ("I50.1", "I48.1"))


async def test_price_is_announced(hospital: Hospital) -> None:
    """The Node.js service gets one job, which holds the price."""
    await hospital.hand_in(STAY)
    [job] = hospital.flow.jobs(BullMqQueues.NOTIFICATIONS)
    [price] = hospital.flow.published(Channel.DOMAIN_VALUATION_PRICING_CALCULATED)
    assert job.name == BullMqJobs.ANNOUNCE_PRICE
    assert msgspec.json.decode(job.data)["data"] == price["data"]


async def test_mistyped_stay_is_reopened(hospital: Hospital) -> None:
    """Its run fails, and nothing else happens."""
    await hospital.hand_in(replace(STAY, principal_diagnosis="I501"))
    assert (await hospital.stay("stay-1")).status is StayStatus.REOPENED
    assert len(hospital.flow.handled(RunFailed)) == 1
    assert hospital.flow.published(RunStarted) == []


async def test_draft_is_not_published(hospital: Hospital) -> None:
    """Its receipt says so; the stay's says that it is stored."""
    receipts = await hospital.hand_in(STAY)
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_PUBLISHED, Outcome.STORED]


async def test_unknown_stay_is_an_error(hospital: Hospital) -> None:
    """Its number is named."""
    with pytest.raises(UnknownStayError, match="stay-9"):
        await hospital.stay("stay-9")


async def test_every_event_carries_the_correlation_of_its_stay_and_its_cause(hospital: Hospital) -> None:
    """The chain of causes leads from the price back to the draft."""
    await hospital.hand_in(STAY)
    chain = (
        Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED,
        Channel.DOMAIN_SCREENFLOW_RUN_STARTED,
        Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED,
        Channel.DOMAIN_VALUATION_PRICING_CALCULATED,
    )
    events = [hospital.flow.published(channel)[0] for channel in chain]
    draft = events[0]["causationid"]
    assert [event["correlationid"] for event in events] == [draft] * 4
    assert [event["causationid"] for event in events] == [draft, *(event["id"] for event in events[:-1])]
    assert [event["source"] for event in events[1:3]] == ["/services/screenflow", "/services/coding"]


async def test_handler_that_runs_twice_publishes_the_same_ids(hospital: Hospital) -> None:
    """So the subscriber gives the repeat the same job ids, and no later handler runs twice."""
    await hospital.hand_in(STAY)
    jobs = {queue: hospital.flow.jobs(queue) for queue in BullMqQueues}
    await hospital.flow.repeat()
    assert len(hospital.flow.published(PricingCalculated)) == 2
    assert {queue: hospital.flow.jobs(queue) for queue in BullMqQueues} == jobs


async def test_unknown_stay_is_given_up(hospital: Hospital) -> None:
    """No later attempt would find it."""
    started = RunStarted(aggregate_id="run-1", payload=RunStartedPayload(stay_id="stay-9", findings=()))
    await hospital.screenflow.producer.publish(started)
    await hospital.flow.settle(expect_failures=True)
    [failed] = hospital.flow.failed
    assert "stay-9" in failed.reason
    assert failed.last.number == 1
