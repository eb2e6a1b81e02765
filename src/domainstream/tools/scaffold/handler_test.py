"""Writes the test of a handler: an event that is published is handled."""

import re
from typing import Final, NamedTuple

from domainstream.tools.scaffold.edits.mappers import find_mapper
from domainstream.tools.scaffold.examples import UnknownTypeError, payload_values
from domainstream.tools.scaffold.handler import Work, consumer_of
from domainstream.tools.scaffold.layout import module_of
from domainstream.tools.scaffold.service_files import places_of
from domainstream.tools.scaffold.system import System

_WIRE: Final = re.compile(r"^def wire\(\s*publisher\b", re.MULTILINE)
"""How the bootstrap of the guide's layout puts a service together."""


class _Made(NamedTuple):
    """How a test gets a consumer."""

    place: str
    expression: str


def plan_handler_test(system: System, work: Work, consumer_path: str, *, others: bool) -> list[str]:
    """Plan the test; return why there is none, where what it needs cannot be told."""
    path = _path(work)
    if system.plan.exists(path):
        return []
    consumer = _consumer(system, work, consumer_path)
    if consumer is None:
        return [f"write a test of job {work.job_name}: how {work.service.name} is put together could not be told"]
    try:
        payload = payload_values(work.event, system.project)
    except UnknownTypeError as error:
        return [f"write a test of job {work.job_name}: no example of the type {error} is known"]
    values = {
        "job": work.job,
        "job_name": work.job_name,
        "queue": work.queue,
        "others": others,
        "consumer": consumer.expression,
        "consumer_import": consumer.place,
    }
    system.create("subscriber/test.py.j2", path, **values, **payload, **_publisher(system, work))
    return []


def _path(work: Work) -> str:
    queue, job = work.queue.partition(".")[2].lower(), work.job_name.replace("-", "_")
    name = job if queue == work.service.name else f"{queue}_{job}"
    return f"{work.service.folder}/tests/test_{name}_job.py"


def _consumer(system: System, work: Work, path: str) -> _Made | None:
    found = consumer_of(system, work, path)
    if found.factory is None:
        return _Made(f"{module_of(path)}:{found.name}", found.name)
    name = found.factory.name.value
    if not found.factory.params.params:
        return _Made(f"{module_of(path)}:{name}", f"{name}()")
    bootstrap = f"{work.service.package}/bootstrap.py"
    text = system.plan.read(bootstrap) if system.plan.exists(bootstrap) else ""
    if _WIRE.search(text) and name in text:
        return _Made(f"{module_of(bootstrap)}:wire", "wire(flow.publisher).consumer")
    return None


def _publisher(system: System, work: Work) -> dict[str, object]:
    publisher = system.layout.existing(work.event.service)
    mapper = places_of(system.project, publisher).mapper
    module, name = work.event_place
    return {
        "publisher": publisher.name,
        "aggregate": work.event.aggregate or "aggregate",
        "event_class": name,
        "event_place": f"{module}:{name}",
        "mapper_module": module_of(mapper),
        "mapper": find_mapper(system.plan.source(mapper)).function.name.value,
    }
