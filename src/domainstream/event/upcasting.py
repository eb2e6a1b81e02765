"""Converts payloads of old versions to the newest version.

The steps belong to the event class, as its `upcasters`: its owner writes them once, and every consumer uses them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast
from warnings import warn

from domainstream.errors import UpcasterError

JsonObject = dict[str, Any]
Upcast = Callable[[JsonObject], JsonObject]
"""Converts a payload of one version, as plain JSON values, to the next version."""


def frozen_steps(name: str, steps: object) -> Mapping[int, Upcast]:
    """Return a copy of the upcasters of the class `name` that cannot be changed.

    Raises `UpcasterError` unless they are a dict of functions whose keys are versions.
    """
    if not isinstance(steps, Mapping):
        problems = [f"they are {type(steps).__name__}; write upcasters: ClassVar = {{1: function}}"]
    else:
        problems = [
            f"the step from version {version!r} is not a function with a whole number as its version; "
            "write upcasters: ClassVar = {1: function}"
            for version, step in steps.items()
            if not isinstance(version, int) or isinstance(version, bool) or not callable(step)
        ]
    if problems:
        raise UpcasterError(f"The upcasters of {name} cannot be used:", problems)
    return MappingProxyType(dict(cast("Mapping[int, Upcast]", steps)))


def verify_steps(name: str, steps: Mapping[int, Upcast], newest: int) -> None:
    """Raise `UpcasterError` unless `steps` lead from their oldest version to the newest of the class `name`."""
    if not steps:
        return
    oldest = min(steps)
    problems = [
        f"no step from version {version} to {version + 1}; add {version}: function"
        for version in range(oldest, newest)
        if version not in steps
    ]
    problems += [
        f"the step from version {version} leads beyond version {newest}; remove it or raise the class's version"
        for version in steps
        if not 1 <= version < newest
    ]
    if problems:
        raise UpcasterError(f"The upcasters of {name} (version {newest}) cannot be used:", problems)


def upcast(payload: JsonObject, steps: Mapping[int, Upcast], version: int) -> JsonObject:
    """Convert `payload` from `version`, which must be a key of `steps`, to the newest version."""
    for step in range(version, max(steps) + 1):
        payload = steps[step](payload)
    return payload


class UpcasterChain:
    """The steps of an event class, given to each of its consumers. Deprecated: give them to the class, as `upcasters`.

    Raises `UpcasterError` when a version between the oldest and the newest has no step, or a step has no target.
    """

    def __init__(self, event_class: type[Any], steps: Mapping[int, Upcast]) -> None:
        name = event_class.__name__
        instead = f"Write upcasters = {{1: function}} in class {name}, once for all its consumers."
        warn(f"UpcasterChain is deprecated. {instead}", DeprecationWarning, stacklevel=2)
        self.event_class = event_class
        """The event class; its `version` is where the chain ends."""
        self.steps = frozen_steps(name, steps)
        """For each version n, the function that converts a payload to version n + 1."""
        verify_steps(name, self.steps, event_class.version)
