"""Adds a handler to a consumer. Beside: the other edits."""

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.python_text import call
from domainstream.tools.scaffold.source import Source, dotted


class Consumer(NamedTuple):
    """An `EventConsumer` that is made in a file."""

    name: str
    """The variable it is kept in."""

    queue: str
    """Its queue, as it is written."""

    factory: cst.FunctionDef | None
    """The function that makes and returns it; None where the file itself does."""


class Handler(NamedTuple):
    """A handler that is to be written."""

    function: str
    """Its name."""

    event_class: str
    """What it handles."""

    job: str
    """The jobs it takes, as it is to be written."""


def consumers(source: Source) -> Iterator[Consumer]:
    """Yield the consumers that a file makes, on its top level or in its functions."""
    for one in source.statements(cst.Assign):
        yield from _consumer(source, one, None)
    for function in source.statements(cst.FunctionDef):
        for inner in m.findall(function, m.Assign()):
            if isinstance(inner, cst.Assign):
                yield from _consumer(source, inner, function)


def names_in(source: Source) -> set[str]:
    """Return every name that a file binds anywhere, to keep clear of them."""
    binding = m.OneOf(m.FunctionDef(), m.ClassDef(), m.Param(), m.AssignTarget(), m.AnnAssign(), m.ImportAlias())
    return {_bound(one) for one in m.findall(source.module, binding)}


def _bound(one: cst.CSTNode) -> str:
    if isinstance(one, cst.ImportAlias):
        return dotted(one.asname.name if one.asname else one.name).partition(".")[0]
    return dotted(getattr(one, "target", None) or getattr(one, "name", None))


def with_handler(source: Source, consumer: Consumer, handler: Handler) -> Source:
    """Return the source with a handler that logs: before the factory's `return`, else at the end of the file."""
    place, pad, before, after = _place(source, consumer)
    lines = "\n".join(_lines(consumer, handler, logger_of(source) or "log", pad, source.width))
    return source.inserted(place, f"{before}{lines}\n{after}")


def _lines(consumer: Consumer, handler: Handler, logger: str, pad: int, width: int) -> Iterator[str]:
    told = ['"handling %s [%s]"', "event.aggregate_id", "context.correlation_id"]
    parameters = [f"event: {handler.event_class}", "context: EventContext"]
    yield call(f"@{consumer.name}.on", [handler.event_class, f"job={handler.job}"], "", pad, width)
    yield call(f"async def {handler.function}", parameters, " -> None:", pad, width)
    yield call(f"{logger}.info", told, "", pad + 4, width)


def logger_of(source: Source) -> str | None:
    """Return the name of the file's logger, if it has one."""
    for one in source.statements(cst.Assign):
        if isinstance(one.value, cst.Call) and dotted(one.value.func).endswith("getLogger"):
            return dotted(one.targets[0].target)
    return None


def _consumer(source: Source, one: cst.Assign, factory: cst.FunctionDef | None) -> Iterator[Consumer]:
    made = one.value
    if isinstance(made, cst.Call) and dotted(made.func).endswith("EventConsumer") and made.args:
        yield Consumer(dotted(one.targets[0].target), source.text_of(made.args[0].value), factory)


def _place(source: Source, consumer: Consumer) -> tuple[int, int, str, str]:
    """Return where a handler goes, how far it is indented, and the blank lines around it."""
    if consumer.factory is None:
        return len(source.text.encode()), 0, "\n\n", ""
    for one in reversed(consumer.factory.body.body):
        if m.matches(one, m.SimpleStatementLine(body=[m.Return(value=m.Name(consumer.name))])):
            start = source.line_start(source.start(one))
            return start, source.indent(start), "", "\n"
    by_hand = f"end it with: return {consumer.name}"
    raise source.cannot_edit(f"{consumer.factory.name.value} does not return its consumer last", by_hand)
