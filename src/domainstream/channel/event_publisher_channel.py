"""The base class of the enum that names every channel of the system."""

from collections.abc import Mapping
from enum import EnumType, StrEnum
from typing import Any

from domainstream.channel.channel_name import (
    ChannelName,
    Services,
    parse_channel_name,
    services_violations,
    violations_of,
)
from domainstream.channel.partitions import partitions_problems
from domainstream.errors import ChannelDefinitionError


class _ChannelType(EnumType):
    """Checks a channel enum once all its members exist."""

    _services: Services | None
    _partitions: Mapping[str, int]

    def __new__(
        mcs,
        name: str,
        bases: Any,
        namespace: Any,
        *,
        services: Services | None = None,
        partitions: Mapping[str, int] | None = None,
        **options: Any,
    ) -> Any:
        channels = super().__new__(mcs, name, bases, namespace, **options)
        # Not in __init_subclass__: from Python 3.12 on, the enum machinery rebuilds exceptions raised there.
        services = services if services is not None else getattr(channels, "_services", None)
        type.__setattr__(channels, "_services", services)
        type.__setattr__(channels, "_partitions", dict(partitions or {}))
        members: Any = dict(channels.__members__)
        problems: list[str] = [*services_violations(services or {}), *partitions_problems(partitions or {}, members)]
        for key, member in members.items():
            if key == member.name:
                problems += violations_of(key, member.value, services)
            else:
                problems.append(f"{key}: has the same value as {member.name}; use {key} = {key.lower()!r}")
                problems += violations_of(key, key.lower(), services)
        if problems:
            raise ChannelDefinitionError(f"{channels.__name__} breaks the rules for channels:", problems)
        return channels


class EventPublisherChannel(StrEnum, metaclass=_ChannelType):
    """Base class of your channel enum; its rules are checked when the enum is created.

    Usage, in the package that all services share::

        class Channel(EventPublisherChannel, services={"coding": ("optimization", "medical_stay")}):
            DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"

    `services` is optional. Without it, service and aggregate are assumed to be one word each. With it, they may have
    several words, and unknown services, unknown aggregates and plural aggregates are rejected too.

    `partitions={"DOMAIN_CODING_OPTIMIZATION_EVALUATED": 8}` spreads a channel over 8 streams. Only events with the same
    partition key, which is the aggregate's id by default, keep their order.

    Raises `ChannelDefinitionError` that lists all violations, each with its fix: a duplicate value, a value that is not
    the name in lower case, a name that does not follow the grammar `DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}`, an
    event name without a verb in the past tense, or partitions of an unknown channel or outside of 1 to 1,024.
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
        """What happened, in lower case and past tense."""
        return self._parts().event_name

    @property
    def partitions(self) -> int:
        """Over how many streams the channel is spread; 1 unless the class says otherwise."""
        return type(self)._partitions.get(self.name, 1)  # noqa: SLF001 - set by this module's metaclass

    def _parts(self) -> ChannelName:
        return parse_channel_name(self.name, type(self)._services)  # noqa: SLF001 - set by this module's metaclass
