"""Converts payloads of old versions to the newest version."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from domainstream.errors import UpcasterError
from domainstream.event.base_event import BaseEvent

JsonObject = dict[str, Any]
Upcast = Callable[[JsonObject], JsonObject]
"""Converts a payload of one version, as plain JSON values, to the next version."""


class UpcasterChain:
    """The steps that convert an event's payload from each version that is still readable to the newest.

    Usage::

        UpcasterChain(OptimizationEvaluated, {1: add_currency, 2: rename_score})  # up to version 3

    Raises `UpcasterError` when a version between the oldest and the newest has no step, or a step has no target.
    """

    def __init__(self, event_class: type[BaseEvent[Any]], steps: Mapping[int, Upcast]) -> None:
        self.event_class = event_class
        """The event class; its `version` is where the chain ends."""
        self.steps = MappingProxyType(dict(steps))
        """For each version n, the function that converts a payload to version n + 1."""
        newest = event_class.version
        oldest = min(self.steps, default=newest)
        problems = [
            f"no step from version {version} to {version + 1}; add {version}: function"
            for version in range(oldest, newest)
            if version not in self.steps
        ]
        problems += [
            f"the step from version {version} leads beyond version {newest}; remove it or raise the class's version"
            for version in self.steps
            if not 1 <= version < newest
        ]
        if problems:
            raise UpcasterError(f"The upcasters of {event_class.__name__} (version {newest}) cannot be used:", problems)

    def upcast(self, payload: JsonObject, version: int) -> JsonObject:
        """Convert `payload` from `version`, which must be a key of `steps`, to the newest version."""
        for step in range(version, self.event_class.version):
            payload = self.steps[step](payload)
        return payload
