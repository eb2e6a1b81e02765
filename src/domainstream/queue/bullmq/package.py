"""The `bullmq` package, which is an extra: imported when it is first needed, with a word on what to type without it."""

from importlib import import_module
from typing import Any

from domainstream.errors import MissingExtraError


def bullmq_module(name: str = "bullmq", *, what: str = "Delivering to BullMQ queues") -> Any:
    """Return a module of the `bullmq` package, raising `MissingExtraError` when that is not installed.

    `what` is what it is needed for, as the error's first words.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise MissingExtraError(what, "bullmq") from None
