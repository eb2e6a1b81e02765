"""A handler that is annotated with another event than it is registered for."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar, Union
from unittest.mock import Mock

import pytest
from support.consuming import CalculatedPayload, OptimizationEvaluated, PricingCalculated

from domainstream.errors import ConfigurationError
from domainstream.event import BaseEvent
from domainstream.worker import EventConsumer, EventContext

AnyEvent = TypeVar("AnyEvent", bound=BaseEvent[Any])
Either = OptimizationEvaluated | PricingCalculated


class HasId(Protocol):
    """Anything with an id."""

    id: str


def annotated(annotation: Any) -> Callable[..., Any]:
    """Return a handler whose event has this annotation."""

    async def handler(event: Any, context: EventContext) -> None: ...

    handler.__annotations__["event"] = annotation
    return handler


def bare() -> Callable[..., Any]:
    """Return a handler without annotations."""

    async def handler(event, context): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    return handler


class Methods:
    """Handlers that are not functions."""

    async def right(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Handle an evaluated optimization."""

    async def wrong(self, event: "PricingCalculated", context: EventContext) -> None:
        """Handle a calculated price."""


class Callables:
    """A handler that is an object."""

    async def __call__(self, event: "PricingCalculated", context: EventContext) -> None:
        """Handle a calculated price."""


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


async def with_setting(setting: str, event: PricingCalculated, context: EventContext) -> None:
    """Handle a calculated price with a setting."""


async def swapped(context: EventContext, event: OptimizationEvaluated) -> None:
    """Take event and context in the wrong order."""


@pytest.mark.parametrize(
    "handler",
    [
        annotated(OptimizationEvaluated),
        annotated("OptimizationEvaluated"),
        annotated("'OptimizationEvaluated'"),
        annotated(Either),
        annotated("OptimizationEvaluated | PricingCalculated"),
        annotated(Union["OptimizationEvaluated", "PricingCalculated"]),
        annotated("Annotated[OptimizationEvaluated, 'metadata']"),
        annotated(OptimizationEvaluated | None),
        annotated(BaseEvent),
        annotated(BaseEvent[Any]),
        annotated(object),
        annotated(Any),
        annotated(AnyEvent),
        annotated(HasId),
        annotated("OnlyForTypeCheckers"),
        annotated("not an expression ("),
        annotated("1 / 0"),
        annotated(7),
        annotated(...),
        bare(),
        Methods().right,
        traced(annotated(OptimizationEvaluated)),
        functools.partial(annotated(OptimizationEvaluated)),
        Mock(),
    ],
)
def test_handler_that_may_take_the_event_is_accepted(handler: Callable[..., Any]) -> None:
    """The event itself, unions, base classes, protocols, missing and unresolvable annotations are accepted."""
    consumer = EventConsumer("valuation")
    consumer.on(OptimizationEvaluated)(handler)
    assert consumer.event_classes == (OptimizationEvaluated,)


@pytest.mark.parametrize(
    "handler",
    [
        annotated(PricingCalculated),
        annotated("PricingCalculated"),
        annotated(Annotated[PricingCalculated, "metadata"]),
        Methods().wrong,
        Callables(),
        traced(annotated("PricingCalculated")),
        functools.partial(with_setting, "setting"),
    ],
)
def test_handler_of_another_event_is_rejected(handler: Callable[..., Any]) -> None:
    """The error names the event of the decorator and that of the annotation, and nothing was registered."""
    consumer = EventConsumer("valuation")
    with pytest.raises(ConfigurationError) as raised:
        consumer.on(OptimizationEvaluated)(handler)
    (problem,) = raised.value.problems
    assert problem == (
        "it is registered for OptimizationEvaluated, but its first parameter is annotated with PricingCalculated; "
        "use @consumer.on(PricingCalculated), or annotate the parameter with OptimizationEvaluated"
    )
    assert consumer.event_classes == ()


def test_swapped_parameters_are_rejected() -> None:
    """A handler that takes the context first would get the event there."""
    with pytest.raises(ConfigurationError, match="its first parameter is annotated with EventContext"):
        EventConsumer("valuation").on(OptimizationEvaluated)(swapped)  # type: ignore[arg-type]


@pytest.mark.parametrize("annotation", [CalculatedPayload, str, None, OptimizationEvaluated | None])
def test_handler_of_several_events_must_take_each(annotation: Any) -> None:
    """The error names each event that the annotation excludes."""
    with pytest.raises(ConfigurationError, match=r"it is registered for .*PricingCalculated, but its first parameter"):
        EventConsumer("valuation").on(OptimizationEvaluated, PricingCalculated)(annotated(annotation))
