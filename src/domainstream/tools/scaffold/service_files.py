"""Where a service has its events, its union and its mapper: where `check` found them, else where the guide says."""

from collections.abc import Iterable
from typing import NamedTuple

from domainstream.tools.check.model.project import Project
from domainstream.tools.scaffold.layout import Service
from domainstream.tools.scaffold.names import pascal


class Places(NamedTuple):
    """The files of a service that an event changes."""

    union: str
    """The file with the union of all events."""

    union_name: str
    """The union's name."""

    mapper: str
    """The file with the mapper."""


def places_of(project: Project, service: Service) -> Places:
    """Return where a service's union and mapper are."""
    mapper = _first((one.location.path for one in project.mappers if one.service == service.name), service.mapper)
    unions = [one for one in project.unions if one.service == service.name]
    # A service may have smaller unions, too: the one of most events is that of all.
    whole = max(unions, key=lambda one: len(one.events), default=None)
    if whole is None:
        return Places(service.union, f"{pascal(service.name)}DomainEvent", mapper)
    return Places(whole.location.path, whole.symbol.rpartition(".")[2], mapper)


def events_file(project: Project, service: Service, aggregate: str) -> str:
    """Return the file with the events of an aggregate."""
    found = (one.location.path for one in project.events if (one.service, one.aggregate) == (service.name, aggregate))
    return _first(found, service.events(aggregate))


def _first(found: Iterable[str], otherwise: str) -> str:
    return next(iter(found), otherwise)
