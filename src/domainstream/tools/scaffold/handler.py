"""Writes the handler of a job with its test, and a consumer for a queue that has none."""

import keyword
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from domainstream.tools.check.model.domain import Event
from domainstream.tools.scaffold.edits.imports import imported_from, local_name
from domainstream.tools.scaffold.edits.services import (
    Consumer,
    consumers,
    find_mapper,
    logger_of,
    names_in,
    with_handler,
)
from domainstream.tools.scaffold.edits.toml_lists import toml_table, with_toml_item, with_toml_line
from domainstream.tools.scaffold.layout import Service, module_of, service_files
from domainstream.tools.scaffold.names import pascal
from domainstream.tools.scaffold.payload import UnknownTypeError, payload_values
from domainstream.tools.scaffold.source import Source
from domainstream.tools.scaffold.system import System

_WIRE: Final = re.compile(r"^def wire\(\s*(publisher|outbox)\b", re.MULTILINE)
"""The function of the guide's bootstrap that wires a service, and what with."""


class _ConsumerInTest(NamedTuple):
    """How a test gets a consumer."""

    imports: list[str]
    """What it imports, as `module:name`."""

    expression: str
    """The consumer, as it is written in code."""

    has_outbox: bool = False
    """Whether its service stores events in an outbox, and so needs a database."""


@dataclass(frozen=True, kw_only=True)
class HandledJob:
    """A job that a service is to handle."""

    service: Service
    """The service that handles it."""

    queue: str
    """The queue, as it is written in code: `BullMqQueues.VALUATION`."""

    member: str
    """The job's name, as it is written in code: `BullMqJobs.PRICE_STAY`."""

    name: str
    """The job's name: `price-stay`."""

    event: Event
    """The event that it is about."""

    @property
    def queue_in_files(self) -> str:
        """The queue in snake case, as the names of its files have it: `valuation`."""
        return self.queue.partition(".")[2].lower()

    @property
    def event_place(self) -> tuple[str, str]:
        """The module and the name of the event's class."""
        module, _, name = self.event.symbol.rpartition(".")
        return module, name


def plan_consumer(system: System, job: HandledJob) -> str:
    """Plan a consumer and a worker process for a queue that has none; return the consumer's file."""
    queue = job.queue_in_files
    consumer = f"{job.service.consumers}/{queue}_consumer.py"
    values = {
        "service": job.service.name,
        "queue": queue,
        "member": job.queue,
        "consumer_module": module_of(consumer),
    }
    system.create("worker/consumer.py.j2", consumer, **values)
    system.create("worker/worker.py.j2", f"{job.service.package}/{queue}_worker.py", **values)
    return consumer


def plan_handler(system: System, job: HandledJob, path: str) -> None:
    """Plan a handler that logs, next to the others of its queue."""
    source, event_class = _with_event(system, system.plan.source(path), job)
    source, context = system.imported(source, "domainstream.worker:EventContext")
    source, _ = system.imported(source, system.jobs.place)
    member = system.member_in(source, system.jobs, job.member)
    consumer = _consumer_of(source, system.member_in(source, system.queues, job.queue))
    if logger_of(source) is None:
        raise source.cannot_edit(
            "it has no logger", "import logging, and log = logging.getLogger(__name__) after the imports"
        )
    function, taken = job.name.replace("-", "_"), names_in(source)
    while function in taken or keyword.iskeyword(function):
        function = f"{function}_job"
    source = with_handler(source, consumer, function=function, event_class=event_class, context=context, job=member)
    system.plan.put(source)
    plan_dependency(system, job.service, job.event.service)


def _with_event(system: System, source: Source, job: HandledJob) -> tuple[Source, str]:
    """Return the source with the event imported, and its local name: two services may have events of the same name."""
    module, name = job.event_place
    known = local_name(source, module, name)
    if known is not None:
        return source, known
    if imported_from(source, name) is None and name not in source.names():
        return system.add_imports(source, [f"{module}:{name}"]), name
    alias = f"{pascal(job.event.service)}{name}"
    return system.add_imports(source, [f"{module}:{name} as {alias}"]), alias


def plan_dependency(system: System, service: Service, owner: str) -> None:
    """Plan a service's dependency on the package of an event's owner, where both have a pyproject.toml."""
    ours = f"{service.folder}/pyproject.toml"
    theirs = str(PurePosixPath(system.layout.existing(owner).folder, "pyproject.toml"))
    if ours == theirs or not (system.plan.exists(ours) and system.plan.exists(theirs)):
        return
    name = toml_table(theirs, system.plan.read(theirs), ("project",)).get("name", owner)
    text = with_toml_item(ours, system.plan.read(ours), "dependencies", name, table=("project",))
    if toml_table(ours, text, ("tool", "uv", "sources")):
        text = with_toml_line(ours, text, f"{name} = {{ workspace = true }}", table=("tool", "uv", "sources"))
    system.plan.write(ours, text)


def plan_handler_test(system: System, job: HandledJob, consumer_path: str, *, others: bool) -> list[str]:
    """Plan the test of a handler; return what is left to do by hand where the test cannot be derived."""
    queue, name = job.queue_in_files, job.name.replace("-", "_")
    prefix = "" if queue == job.service.name else f"{queue}_"
    path = f"{job.service.folder}/tests/test_{prefix}{name}_job.py"
    if system.plan.exists(path):
        return []
    if job.event in system.project.readers:
        return [f"write a test of job {job.name}: {job.event.name} is made by another service"]
    consumer = _consumer_in_test(system, job, consumer_path)
    if consumer is None:
        return [f"write a test of job {job.name}: the wiring of {job.service.name} was not recognised"]
    try:
        payload = payload_values(job.event, system.project)
    except UnknownTypeError as error:
        return [f"write a test of job {job.name}: no example of the type {error} is known"]
    publisher = system.layout.existing(job.event.service)
    files = service_files(system.project, publisher)
    source = system.plan.source(files.mapper)
    mapper = find_mapper(source, files.mapper_name)
    if mapper is None or mapper.function not in source.module.body:
        return [f"write a test of job {job.name}: the mapper of {publisher.name} was not recognised"]
    module, event_class = job.event_place
    values = {
        "job": job.member,
        "job_name": job.name,
        "queue": job.queue,
        "others": others,
        "consumer_imports": consumer.imports,
        "consumer": consumer.expression,
        "has_outbox": consumer.has_outbox,
        "publisher": publisher.name,
        "aggregate": job.event.aggregate or "aggregate",
        "event_class": event_class,
        "event_place": f"{module}:{event_class}",
        "mapper_module": module_of(files.mapper),
        "mapper": mapper.function.name.value,
    }
    system.create("subscriber/test.py.j2", path, **values, **payload)
    return []


def _consumer_in_test(system: System, job: HandledJob, path: str) -> _ConsumerInTest | None:
    """Return how a test gets the consumer; None where it cannot be made there."""
    source = system.plan.source(path)
    consumer = _consumer_of(source, system.member_in(source, system.queues, job.queue))
    if consumer.factory is None:
        return _ConsumerInTest([f"{module_of(path)}:{consumer.name}"], consumer.name)
    name = consumer.factory.name.value
    if not consumer.factory.params.params:
        return _ConsumerInTest([f"{module_of(path)}:{name}"], f"{name}()")
    bootstrap = f"{job.service.package}/bootstrap.py"
    text = system.plan.read(bootstrap) if system.plan.exists(bootstrap) else ""
    wire = _WIRE.search(text)
    if wire is None or name not in text:
        return None
    imports = [f"{module_of(bootstrap)}:wire"]
    if wire[1] == "publisher":
        return _ConsumerInTest(imports, "wire(flow.publisher).consumer")
    if not (system.plan.exists(job.service.outbox) and system.plan.exists(job.service.database)):
        return None
    places = [(job.service.outbox, "outbox"), (job.service.database, "open_database")]
    imports += [f"{module_of(file)}:{name}" for file, name in places]
    return _ConsumerInTest(imports, "wire(outbox, engine).consumer", has_outbox=True)


def _consumer_of(source: Source, queue: str) -> Consumer:
    """Return the consumer of a queue, or the only one of the file."""
    defined = list(consumers(source))
    named = [consumer for consumer in defined if consumer.queue == queue]
    if not (named or len(defined) == 1):
        raise source.cannot_edit(f"the consumer of {queue} could not be found", f"consumer = EventConsumer({queue})")
    return (named or defined)[0]
