"""The error tree: it is as it is drawn, and every error travels between processes whole."""

import asyncio
import inspect
import pickle
import re
from typing import Any

import pytest

from domainstream import Outcome, Receipt, errors
from domainstream.errors import DomainStreamError, PublishCancelledError, PublishError, receipts_of

PROBLEMS = ("one thing; use this", "another")
RECEIPTS = (
    Receipt(event_id="event-1", outcome=Outcome.PUBLISHED, channel="domain_shop_order_sent", entry_id="1-0"),
    Receipt(event_id="event-2", outcome=Outcome.REJECTED, channel="domain_shop_order_sent"),
    Receipt(event_id="event-3", outcome=Outcome.UNKNOWN, channel="domain_shop_order_sent"),
)
FAILED = Receipt(event_id="event-4", outcome=Outcome.REJECTED, error=errors.ServerOutOfMemoryError("raise maxmemory"))
LINE = re.compile(r"    (?P<branch>(?:│   |    )*(?:[├└]── )?)(?P<name>[\w.]*(?:Error|Exception))\b")

EXAMPLES: list[BaseException] = [
    *(
        kind("it cannot be used:", PROBLEMS)
        for kind in (
            errors.ProblemsError,
            errors.ConfigurationError,
            errors.ChannelDefinitionError,
            errors.RegistryError,
            errors.MapperError,
            errors.SubscriptionError,
            errors.UpcasterError,
        )
    ),
    *(
        kind("it cannot be read", event_id="event-1", event_type="domain_shop_order_sent")
        for kind in (
            errors.EventError,
            errors.InvalidEventError,
            errors.EventEncodingError,
            errors.EventDecodingError,
            errors.InvalidEnvelopeError,
            errors.UnknownEventTypeError,
        )
    ),
    errors.UnknownEventVersionError(
        "it cannot be read", version=2, event_id="event-1", event_type="domain_shop_order_sent"
    ),
    errors.OrderKeyError(
        "raised KeyError", "billing", function="by_patient", event_id="event-1", event_type="domain_shop_order_sent"
    ),
    errors.HostileJsonError("it is too deep"),
    errors.InvalidPayloadError("$.a[0]", "int", "str", event_id="event-1", event_type="domain_shop_order_sent"),
    PublishError(RECEIPTS),
    PublishCancelledError(RECEIPTS),
    errors.MissingExtraError("the worker", "bullmq"),
    errors.DeliveryLimitError(6, 5),
    errors.HandlerNotFoundError("no handler", event_type="domain_shop_order_sent"),
    *(
        kind("the server rejected the command")
        for kind in (
            DomainStreamError,
            errors.PublisherClosedError,
            errors.ServerError,
            errors.ServerUnavailableError,
            errors.NotConfirmedError,
            errors.ServerRefusedError,
            errors.ServerOutOfMemoryError,
            errors.ServerIsClusterError,
            errors.ServerNotFoundError,
            errors.HandlerCancelledError,
            errors.HandlerTimeoutError,
            errors.BackgroundTaskError,
            errors.InboxError,
            errors.OutboxError,
            errors.OutboxUnavailableError,
        )
    ),
]
EVERY = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def drawn() -> dict[str, str | None]:
    """Return the parent of each error in the drawing on top of the module; None for a root."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := LINE.match(line):
            depth = len(found["branch"]) // 4
            parents[found["name"]] = above[depth - 1] if depth else None
            above = [*above[:depth], found["name"]]
    return parents


def defined() -> dict[str, type[BaseException]]:
    """Return every error of the module."""
    return {
        name: error
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, BaseException) and error.__module__ == errors.__name__
    }


def travelled(error: BaseException) -> Any:
    """Return an error as another process would receive it."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes


@pytest.mark.parametrize(("name", "parent"), [(name, parent) for name, parent in drawn().items() if parent])
def test_error_derives_from_the_one_it_is_drawn_under(name: str, parent: str) -> None:
    """The drawing shows what catching an error catches."""
    assert parent.rpartition(".")[2] in [base.__name__ for base in defined()[name].__bases__]


def test_every_error_is_drawn() -> None:
    """Every error of the module appears in the drawing."""
    assert sorted(defined().keys() - drawn().keys()) == []


def test_every_drawn_error_exists() -> None:
    """The drawing holds nothing but errors of the module."""
    assert sorted(drawn().keys() - defined().keys()) == []


def test_there_is_one_root() -> None:
    """`DomainStreamError` is the only root of the tree."""
    assert [name for name, parent in drawn().items() if parent is None] == ["DomainStreamError"]


def test_these_tests_know_every_error() -> None:
    """The examples of these tests cover every error of the module."""
    assert {type(error).__name__ for error in EXAMPLES} == set(defined())


@EVERY
def test_error_survives_pickling(error: BaseException) -> None:
    """Kind, message and attributes arrive in another process as they were sent."""
    copy = travelled(error)

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", [PublishError, PublishCancelledError])
def test_cause_in_a_receipt_survives_pickling(kind: type[PublishError | PublishCancelledError]) -> None:
    """An error inside of an error's receipt arrives too."""
    copy = travelled(kind([FAILED]))

    assert repr(copy.receipts[0].error) == repr(FAILED.error)


@EVERY
def test_error_has_a_message(error: BaseException) -> None:
    """No error leaves its reader with a class name alone."""
    assert str(error)


def test_problems_stand_in_the_message_one_a_line() -> None:
    """A refusal lists every reason under its heading."""
    error = errors.ProblemsError("it cannot be used:", PROBLEMS)

    assert str(error).splitlines() == ["it cannot be used:", *(f"  - {problem}" for problem in PROBLEMS)]


def test_event_error_names_event_and_type() -> None:
    """An event error names the event's id and type, so that both can be found in logs."""
    error = errors.EventError("it is too large", event_id="event-1", event_type="domain_shop_order_sent")

    assert str(error) == "it is too large [event event-1, type domain_shop_order_sent]"


def test_event_error_without_a_name_says_so() -> None:
    """What could not be read is not left out silently."""
    assert str(errors.EventError("it is not JSON")) == "it is not JSON [event without id, type unknown]"


def test_invalid_payload_is_described_by_path_expected_and_got() -> None:
    """An invalid payload is described by its path and by the expected and actual kind."""
    error = errors.InvalidPayloadError("$.a[0]", "int", "str", event_id="event-1", event_type="domain_shop_order_sent")

    assert "payload at $.a[0]: expected int, got str" in str(error)


def test_missing_extra_says_what_to_type() -> None:
    """The command to install it stands in the message."""
    assert "pip install 'domainstream[bullmq]'" in str(errors.MissingExtraError("the worker", "bullmq"))


def test_missing_extra_is_an_import_error() -> None:
    """Code that tries an import catches it as any other."""
    assert issubclass(errors.MissingExtraError, ImportError)


def test_cancelled_publish_counts_its_outcomes() -> None:
    """The message of a cancelled publish counts the events per outcome."""
    assert str(PublishCancelledError(RECEIPTS)) == "publishing was cancelled: 1 published, 1 rejected, 1 unknown"


def test_receipts_are_found_behind_a_time_out() -> None:
    """`receipts_of` follows the causes of an error to the one that carries receipts."""
    too_late = TimeoutError()
    too_late.__cause__ = asyncio.CancelledError()
    too_late.__cause__.__cause__ = PublishCancelledError(RECEIPTS)
    assert receipts_of(too_late) == tuple(RECEIPTS)


def test_other_errors_carry_no_receipts() -> None:
    """`receipts_of` returns nothing for an error that has nothing to do with publishing."""
    assert receipts_of(ValueError()) == ()
