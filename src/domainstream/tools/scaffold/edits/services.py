"""Adds a handler to a consumer."""

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.python_text import call
from domainstream.tools.scaffold.source import Source, dotted


class Consumer(NamedTuple):
    """An `EventConsumer` that a file creates."""

    name: str
    """The variable that holds it."""

    queue: str
    """Its queue, as it is written in code."""

    factory: cst.FunctionDef | None
    """The function that creates and returns it; None for a consumer at module level."""


class Handler(NamedTuple):
    """A handler that is to be written."""

    function: str
    """The name of the function."""

    event_class: str
    """The event class that it handles."""

    job: str
    """The job that it handles, as it is written in code."""


def consumers(source: Source) -> Iterator[Consumer]:
    """Yield the consumers that a file creates at module level or in its functions."""
    for assignment in source.statements(cst.Assign):
        yield from _consumer(source, assignment, None)
    for function in source.statements(cst.FunctionDef):
        for inner in m.findall(function, m.Assign()):
            if isinstance(inner, cst.Assign):
                yield from _consumer(source, inner, function)


def names_in(source: Source) -> set[str]:
    """Return every name that a file binds at any level, so that new names can avoid them."""
    binding = m.OneOf(m.FunctionDef(), m.ClassDef(), m.Param(), m.AssignTarget(), m.AnnAssign(), m.ImportAlias())
    return {_bound(node) for node in m.findall(source.module, binding)}


def _bound(node: cst.CSTNode) -> str:
    if isinstance(node, cst.ImportAlias):
        return dotted(node.asname.name if node.asname else node.name).partition(".")[0]
    return dotted(getattr(node, "target", None) or getattr(node, "name", None))


def with_handler(source: Source, consumer: Consumer, handler: Handler) -> Source:
    """Return the source with a handler that logs: before the factory's `return`, else at the end of the file."""
    place, pad, before, after = _place(source, consumer)
    lines = "\n".join(_lines(consumer, handler, logger_of(source) or "log", pad, source.width))
    return source.inserted(place, f"{before}{lines}\n{after}")


def _lines(consumer: Consumer, handler: Handler, logger: str, pad: int, width: int) -> Iterator[str]:
    arguments = ['"handling %s [%s]"', "event.aggregate_id", "context.correlation_id"]
    parameters = [f"event: {handler.event_class}", "context: EventContext"]
    yield call(f"@{consumer.name}.on", [handler.event_class, f"job={handler.job}"], "", pad, width)
    yield call(f"async def {handler.function}", parameters, " -> None:", pad, width)
    yield call(f"{logger}.info", arguments, "", pad + 4, width)


def logger_of(source: Source) -> str | None:
    """Return the name of the file's logger, if it has one."""
    for assignment in source.statements(cst.Assign):
        if isinstance(assignment.value, cst.Call) and dotted(assignment.value.func).endswith("getLogger"):
            return dotted(assignment.targets[0].target)
    return None


def _consumer(source: Source, assignment: cst.Assign, factory: cst.FunctionDef | None) -> Iterator[Consumer]:
    made = assignment.value
    if isinstance(made, cst.Call) and dotted(made.func).endswith("EventConsumer") and made.args:
        yield Consumer(dotted(assignment.targets[0].target), source.text_of(made.args[0].value), factory)


def _place(source: Source, consumer: Consumer) -> tuple[int, int, str, str]:
    """Return where a handler goes, how far it is indented, and the blank lines around it."""
    if consumer.factory is None:
        return len(source.text.encode()), 0, "\n\n", ""
    for statement in reversed(consumer.factory.body.body):
        if m.matches(statement, m.SimpleStatementLine(body=[m.Return(value=m.Name(consumer.name))])):
            start = source.line_start(source.start(statement))
            return start, source.indent(start), "", "\n"
    by_hand = f"end it with: return {consumer.name}"
    raise source.cannot_edit(f"{consumer.factory.name.value} does not return its consumer last", by_hand)
