"""One handler alone, given an event as its worker would."""

from datetime import timedelta

import pytest
from support.consuming import EVALUATED, OptimizationEvaluated, PricingCalculated, calculated, evaluated
from support.event_flows import consumer_of, do_nothing

from domainstream.errors import HandlerNotFoundError
from domainstream.testing.event_flow import handle
from domainstream.worker import EventConsumer, EventContext, RetryLater


class Witness:
    """A handler that keeps what it was given, and the event it made meanwhile."""

    def __init__(self) -> None:
        self.given: list[tuple[OptimizationEvaluated, EventContext]] = []
        self.made: list[PricingCalculated] = []

    async def __call__(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Keep the arguments."""
        self.given.append((event, context))
        self.made.append(calculated())


async def test_handler_gets_the_event_and_its_context() -> None:
    """The event has gone through JSON; the context is what a stream and a queue would have made of it."""
    witness, event = Witness(), evaluated(correlation_id="stay-7")
    await handle(consumer_of("valuation", OptimizationEvaluated, witness), event)
    [(given, context)] = witness.given
    assert given == event
    assert given is not event
    assert context.channel == EVALUATED
    assert context.correlation_id == "stay-7"
    assert context.event_id == event.id
    assert timedelta() <= event.occurred_at - context.timestamp < timedelta(milliseconds=1)
    assert context.attempt == 1
    assert context.is_last_attempt is True


async def test_what_the_handler_makes_has_the_event_as_its_cause() -> None:
    """As in a worker."""
    witness, event = Witness(), evaluated()
    await handle(consumer_of("valuation", OptimizationEvaluated, witness), event)
    assert [made.causation_id for made in witness.made] == [event.id]


async def test_attempt_can_be_chosen() -> None:
    """For handlers that do something else in their last attempt."""
    witness = Witness()
    consumer = consumer_of("valuation", OptimizationEvaluated, witness)
    await handle(consumer, evaluated(), attempt=2, attempts=3)
    await handle(consumer, evaluated(), attempt=3)
    contexts = [context for _, context in witness.given]
    assert [(one.attempt, one.attempts, one.is_last_attempt) for one in contexts] == [(2, 3, False), (3, 3, True)]


async def test_handler_of_a_job_name_can_be_chosen() -> None:
    """One that takes only jobs of a name gets the event when the name is given."""
    consumer, witness = EventConsumer("valuation"), Witness()
    consumer.on(OptimizationEvaluated, job="price-stay")(witness)
    await handle(consumer, evaluated(), job="price-stay")
    assert len(witness.given) == 1
    with pytest.raises(HandlerNotFoundError, match='job="test"'):
        await handle(consumer, evaluated())


async def test_what_the_handler_raises_is_raised() -> None:
    """Outcomes other than done, and errors, reach the test."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise RetryLater(delay=30)

    with pytest.raises(RetryLater):
        await handle(consumer_of("valuation", OptimizationEvaluated, price_stay), evaluated())


async def test_event_that_no_handler_takes_says_what_to_type() -> None:
    """A test of the wrong consumer does not pass silently."""
    with pytest.raises(HandlerNotFoundError, match=r"Use @consumer\.on"):
        await handle(consumer_of("valuation", OptimizationEvaluated, do_nothing), calculated())
