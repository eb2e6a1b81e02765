"""The system that the documents describe: its registry, found at `MODULE:OBJECT`, and the channels in it."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.errors import ConfigurationError, DomainStreamError
from domainstream.event import BaseEvent
from domainstream.queue.partitions import queues_of
from domainstream.queue.settings import OnFailure
from domainstream.subscriber import subscriptions
from domainstream.text import described
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import did_you_mean

EventClass = type[BaseEvent[Any]]

_PLACE: Final = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_BUILD: Final = "registry = ChannelRegistry.build(Channel, mappers={...}, subscriptions=subscriptions)"


class RegistryNotFoundError(NotFoundError):
    """The module or the object does not exist."""


class ImportFailedError(DomainStreamError):
    """A module of the user's could not be imported, or a function of the user's raised."""


class JobOrder(NamedTuple):
    """In which order the jobs of a queue are handled."""

    by: str
    """What their key is, in words or as the name of a function."""

    on_failure: OnFailure
    """What becomes of the jobs behind one that has failed permanently."""

    def __str__(self) -> str:
        rest = "wait" if self.on_failure == "hold" else "go on"
        return f"In order by {self.by}. Behind a job that has failed permanently, the others {rest}."


class QueueHandler(NamedTuple):
    """A queue that gets a job for each event of a channel."""

    queue: str
    """The queue's name."""

    job: str
    """The name of its jobs."""

    partitions: int = 1
    """Over how many BullMQ queues it is spread."""

    order: JobOrder | None = None
    """In which order its jobs are handled; None for no order."""

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of these BullMQ queues; without partitions, its own."""
        return queues_of(self.queue, self.partitions)


@dataclass(frozen=True, slots=True)
class DocumentedChannel:
    """A channel, who publishes to it, and who handles its events."""

    channel: EventPublisherChannel
    """The member of the enum."""

    publisher: str | None
    """The service that publishes to it; None where none does."""

    events: tuple[EventClass, ...]
    """The classes of its events; empty without a publisher."""

    handlers: tuple[QueueHandler, ...]
    """The queues that are subscribed to it, and their jobs; sorted."""

    @property
    def value(self) -> str:
        """The channel's value, which is the type of its events."""
        return self.channel.value


def documented_channels(registry: ChannelRegistry) -> tuple[DocumentedChannel, ...]:
    """Return every channel, sorted by its value, so that a document differs only where the system does."""
    documented = []
    for channel in sorted(registry.channels, key=lambda channel: channel.value):
        event = registry.event_of(channel)
        events = () if event is None else (event,)
        handlers = sorted(map(_handler, registry.handlers_of(channel)), key=itemgetter(0, 1))
        documented.append(DocumentedChannel(channel, registry.publisher_of(channel), events, tuple(handlers)))
    return tuple(documented)


def _handler(handler: object) -> QueueHandler:
    queue, job = str(handler).split(":", 1)
    if not isinstance(handler, subscriptions.QueueHandler):
        return QueueHandler(queue, job)
    if handler.order_by is None:
        return QueueHandler(queue, job, handler.partitions)
    if handler.order_by is subscriptions.AGGREGATE:
        by = "the aggregate's id"
    elif handler.order_by is subscriptions.PARTITION_KEY:
        by = "the partition key, or the aggregate's id"
    else:
        name = str(getattr(handler.order_by, "__name__", ""))
        by = name if name.isidentifier() else "a function of the event"
    return QueueHandler(queue, job, handler.partitions, JobOrder(by, handler.on_failure))


def events_of(channels: Iterable[DocumentedChannel]) -> tuple[EventClass, ...]:
    """Return the classes of all events, in the order of their channels."""
    return tuple(event for channel in channels for event in channel.events)


def registry_at(place: str) -> ChannelRegistry:
    """Return the registry at `MODULE:OBJECT`: the object itself, or what it returns when it is called.

    Modules are looked for in the current folder first, then on Python's path.

    Raises `ConfigurationError` for a malformed place and an object that is not a registry, `RegistryNotFoundError` for
    a module or object that does not exist, `ImportFailedError` for code that raises.
    """
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ConfigurationError(
            f"{place!r} is not MODULE:OBJECT:", ["name the registry as in: myapp.system:registry, with one colon"]
        )
    registry = _object(_module(match[1]), match[2])
    # A class is not called: an enum of channels, for example, would complain about something else.
    if callable(registry) and not isinstance(registry, type | ChannelRegistry):
        try:
            registry = registry()
        except Exception as error:
            raise _import_failed(f"calling {place} without arguments", error) from error
    if isinstance(registry, ChannelRegistry):
        return registry
    kind = registry.__name__ if isinstance(registry, type) else type(registry).__name__
    raise ConfigurationError(f"{place} is not a ChannelRegistry but {kind}:", [f"name one, or build it: {_BUILD}"])


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise RegistryNotFoundError(
                f"there is no module {error.name} in {here} or on Python's path. Go to the folder that holds "
                f"{error.name.partition('.')[0]}, or run: export PYTHONPATH=folder, or install the package of {name}"
            ) from error
        raise _import_failed(f"importing {name}", error) from error
    except Exception as error:
        raise _import_failed(f"importing {name}", error) from error


def _object(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            break
        found = getattr(found, part)
    else:
        return found
    registries = [name for name, value in vars(module).items() if isinstance(value, ChannelRegistry)]
    if registries:
        raise RegistryNotFoundError(
            f"{module.__name__} has no {part}, but it has a registry. Use: {module.__name__}:{registries[0]}"
        )
    public = [name for name in dir(found) if not name.startswith("_")]
    raise RegistryNotFoundError(
        f"{module.__name__} has no {part}.{did_you_mean(part, public)} To build one there, write: {_BUILD}"
    )


def _import_failed(action: str, error: Exception) -> ImportFailedError:
    # The message is quoted: our own errors never quote data, and those of an import or a call name the fault.
    return ImportFailedError(f"{action} raised {described(error)}. Fix it, or add --debug for the traceback")
