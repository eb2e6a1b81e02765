"""The functions that handle jobs, as the code of a system names them. It is read, not imported."""

from collections.abc import Mapping
from typing import Final

from domainstream.tools.check.model.project import Project

HandlerNames = Mapping[tuple[str, str], tuple[tuple[str | None, str], ...]]
"""By event type and queue: the only job that a function takes, or None for all, and its name with its service."""

NONE: Final[tuple[tuple[str | None, str], ...]] = ()


def handler_names(project: Project) -> HandlerNames:
    """Return the functions that handle the events of a system."""
    found: dict[tuple[str, str], tuple[tuple[str | None, str], ...]] = {}
    for consumer in project.consumers:
        for handler in consumer.handlers:
            name = f"{handler.name} ({consumer.service})" if consumer.service else handler.name
            types = {
                project.event_by_symbol[one].event_type for one in handler.events if one in project.event_by_symbol
            }
            for event_type in types:
                if consumer.queue and event_type and handler.name:
                    key = event_type, consumer.queue
                    found[key] = (*found.get(key, NONE), (handler.job, name))
    return found


def names_of(handlers: HandlerNames, event_type: str, queue: str, job: str) -> tuple[str, ...]:
    """Return what handles a job; a function that takes only this job comes before those that take any."""
    known = handlers.get((event_type, queue), NONE)
    own = tuple(dict.fromkeys(name for only, name in known if only == job))
    return own or tuple(dict.fromkeys(name for only, name in known if only is None))
