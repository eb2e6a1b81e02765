"""Writes the handler of a job, and a consumer for a queue that has none."""

import keyword
from dataclasses import dataclass
from pathlib import PurePosixPath

from domainstream.tools.check.model.domain import Event
from domainstream.tools.scaffold.edits.consumers import Consumer, Handler, consumers, logger_of, names_in, with_handler
from domainstream.tools.scaffold.edits.imports import imported_from, local_name
from domainstream.tools.scaffold.edits.toml_lists import toml_table, with_toml_item, with_toml_line
from domainstream.tools.scaffold.layout import Service, module_of
from domainstream.tools.scaffold.names import pascal
from domainstream.tools.scaffold.source import Source
from domainstream.tools.scaffold.system import System


@dataclass(frozen=True, kw_only=True)
class Work:
    """Jobs that a service is to do."""

    service: Service
    """The service."""

    queue: str
    """Its queue, as it is written: `BullMqQueues.VALUATION`."""

    job: str
    """The jobs' name, as it is written: `BullMqJobs.PRICE_STAY`."""

    job_name: str
    """The jobs' name."""

    event: Event
    """What they are about."""

    @property
    def event_place(self) -> tuple[str, str]:
        """The module and the name of the event's class."""
        module, _, name = self.event.symbol.rpartition(".")
        return module, name


def plan_consumer(system: System, work: Work) -> str:
    """Plan the consumer of a queue that has none, and a process that works it; return the consumer's file."""
    queue = work.queue.partition(".")[2].lower()
    consumer = f"{work.service.consumers}/{queue}_consumer.py"
    values = {
        "service": work.service.name,
        "queue": queue,
        "member": work.queue,
        "consumer_module": module_of(consumer),
    }
    system.create("worker/consumer.py.j2", consumer, **values)
    system.create("worker/worker.py.j2", f"{work.service.package}/{queue}_worker.py", **values)
    return consumer


def consumer_of(system: System, work: Work, path: str) -> Consumer:
    """Return the consumer of the queue, as its file makes it."""
    source = system.plan.source(path)
    found = list(consumers(source))
    named = [one for one in found if one.queue == work.queue]
    if not (named or len(found) == 1):
        raise source.cannot_edit(
            f"the consumer of {work.queue} could not be found", f"consumer = EventConsumer({work.queue})"
        )
    return (named or found)[0]


def plan_handler(system: System, work: Work, path: str) -> None:
    """Plan a handler that logs, beside the others of its queue."""
    consumer = consumer_of(system, work, path)
    source, event_class = _with_event(system, system.plan.source(path), work)
    wanted = ["domainstream.worker:EventContext", system.jobs.place]
    source = _with_logger(system.add_imports(source, wanted))
    consumer = next(one for one in consumers(source) if (one.name, one.queue) == (consumer.name, consumer.queue))
    function = _free_name(work.job_name.replace("-", "_"), names_in(source))
    system.plan.put(with_handler(source, consumer, Handler(function, event_class, work.job)))
    _plan_dependency(system, work)


def _with_event(system: System, source: Source, work: Work) -> tuple[Source, str]:
    """Return the source with the event imported, and under which name; two services may have one of that name."""
    module, name = work.event_place
    known = local_name(source, module, name)
    if known is not None:
        return source, known
    if imported_from(source, name) is None and name not in source.names():
        return system.add_imports(source, [f"{module}:{name}"]), name
    alias = f"{pascal(work.event.service)}{name}"
    return system.add_imports(source, [f"{module}:{name} as {alias}"]), alias


def _with_logger(source: Source) -> Source:
    if logger_of(source) is not None:
        return source
    raise source.cannot_edit(
        "it has no logger", "import logging, and log = logging.getLogger(__name__) after the imports"
    )


def _free_name(wanted: str, taken: set[str]) -> str:
    while wanted in taken or keyword.iskeyword(wanted):
        wanted = f"{wanted}_job"
    return wanted


def _plan_dependency(system: System, work: Work) -> None:
    """Let the service's package depend on the one whose event it handles, where each has a pyproject.toml."""
    ours = f"{work.service.folder}/pyproject.toml"
    theirs = str(PurePosixPath(system.layout.existing(work.event.service).folder, "pyproject.toml"))
    if ours == theirs or not (system.plan.exists(ours) and system.plan.exists(theirs)):
        return
    name = toml_table(theirs, system.plan.read(theirs), ("project",)).get("name", work.event.service)
    text = with_toml_item(ours, system.plan.read(ours), "dependencies", name, table=("project",))
    if toml_table(ours, text, ("tool", "uv", "sources")):
        text = with_toml_line(ours, text, f"{name} = {{ workspace = true }}", table=("tool", "uv", "sources"))
    system.plan.write(ours, text)
