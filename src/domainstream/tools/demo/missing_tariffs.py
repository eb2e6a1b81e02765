"""Pricings that fail until somebody retries them: they give the dashboard something to show, and people a job to do."""

from typing import Final

from domainstream.tools.demo.recoding import FailedOnPurposeError
from domainstream.worker import GiveUp, Next, PreparedCall

_OF_HOW_MANY: Final = 25
"""One pricing of so many fails."""


class MissingTariffError(FailedOnPurposeError):
    """A diagnosis has no tariff yet."""


class FailsUntilRetried:
    """A middleware that gives up on some events the first time: once their jobs are retried, they succeed."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    async def __call__(self, call: PreparedCall, call_next: Next) -> None:
        """Give up, or handle the event."""
        number = call.event.aggregate_id.rpartition("-")[2]
        if number.isdigit() and int(number) % _OF_HOW_MANY == 7 and call.event.id not in self._failed:
            self._failed.add(call.event.id)
            raise GiveUp("a diagnosis has no tariff yet") from MissingTariffError(call.event.aggregate_id)
        await call_next(call)
