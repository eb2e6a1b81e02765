"""The base of the one enum that names every channel of the system."""

from enum import EnumType, StrEnum
from typing import Any, cast

from domainstream.channel.channel_name import (
    ChannelName,
    Services,
    parse_channel_name,
    services_violations,
    violations_of,
)
from domainstream.errors import ChannelDefinitionError


class _ChannelType(EnumType):
    """Checks a channel enum once all its members exist."""

    _services: Services | None

    def __new__(mcs, name: str, bases: Any, namespace: Any, *, services: Services | None = None, **options: Any) -> Any:
        channels = super().__new__(mcs, name, bases, namespace, **options)
        # Not in __init_subclass__: from Python 3.12 on, the enum machinery rebuilds exceptions raised there.
        known = services if services is not None else getattr(channels, "_services", None)
        type.__setattr__(channels, "_services", known)
        _refuse_violations(cast("type[EventPublisherChannel]", channels), known)
        return channels


def _refuse_violations(channels: "type[EventPublisherChannel]", services: Services | None) -> None:
    problems: list[str] = list(services_violations(services or {}))
    for name, member in channels.__members__.items():
        if name == member.name:
            problems += violations_of(name, member.value, services)
        else:
            problems.append(f"{name}: has the same value as {member.name}; type: {name} = {name.lower()!r}")
            problems += violations_of(name, name.lower(), services)
    if problems:
        raise ChannelDefinitionError(f"{channels.__name__} breaks the rules of channels:", problems)


class EventPublisherChannel(StrEnum, metaclass=_ChannelType):
    """Base of the users' channel enum; its rules are checked when the class is created.

    Usage, in the package that all services share::

        class Channel(EventPublisherChannel, services={"coding": ("optimization", "medical_stay")}):
            DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"

    `services` may be left out; then service and aggregate are taken to be one word each. With it, unknown services and
    aggregates and plural aggregates are refused too, and names of several words are told apart.

    Raises `ChannelDefinitionError` listing every violation at once, each with the fix to type: a value used twice, a
    value that is not the name in lower case, a name outside the grammar `DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}`, an
    event name without a verb in the past tense.
    """

    @property
    def service(self) -> str:
        """The service that publishes to this channel, in lower case."""
        return self._parts().service

    @property
    def aggregate(self) -> str:
        """The aggregate that the event happened to, in lower case."""
        return self._parts().aggregate

    @property
    def event_name(self) -> str:
        """What happened, in lower case and the past tense."""
        return self._parts().event_name

    def _parts(self) -> ChannelName:
        return parse_channel_name(self.name, type(self)._services)  # noqa: SLF001 - set by this module's metaclass
