"""Bring payloads of old versions to the newest one."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from domainstream.errors import UpcasterError
from domainstream.event.base_event import BaseEvent

JsonObject = dict[str, Any]
Upcast = Callable[[JsonObject], JsonObject]
"""From a payload of one version, as plain JSON values, to the payload of the next."""


class UpcasterChain:
    """The steps from an event's oldest version that may still be read to its newest.

    Usage::

        UpcasterChain(OptimizationEvaluated, {1: add_currency, 2: rename_score})  # up to version 3

    Raises `UpcasterError` when a version between the oldest and the newest has no step, or a step leads nowhere.
    """

    def __init__(self, event_class: type[BaseEvent[Any]], steps: Mapping[int, Upcast]) -> None:
        self.event_class = event_class
        """The class whose payload the chain ends in."""
        self.steps = MappingProxyType(dict(steps))
        """From version n, the function that makes version n + 1."""
        problems = [*self._gaps(), *self._beyond()]
        if problems:
            raise UpcasterError(
                f"The upcasters of {event_class.__name__} (version {event_class.version}) do not fit:", problems
            )

    def upcast(self, payload: JsonObject, version: int) -> JsonObject:
        """Lead `payload` from `version` to the newest one; `version` must be a key of `steps`."""
        for step in range(version, self.event_class.version):
            payload = self.steps[step](payload)
        return payload

    def _gaps(self) -> list[str]:
        newest = self.event_class.version
        oldest = min(self.steps, default=newest)
        missing = [version for version in range(oldest, newest) if version not in self.steps]
        return [f"no step from version {version} to {version + 1}; add {version}: function" for version in missing]

    def _beyond(self) -> list[str]:
        newest = self.event_class.version
        return [
            f"the step from version {version} leads beyond version {newest}; remove it or raise the class's version"
            for version in self.steps
            if not 1 <= version < newest
        ]
