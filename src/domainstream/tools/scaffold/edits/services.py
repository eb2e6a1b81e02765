"""Adds to the code of one service: events to its union and its mapper, and handlers to its consumers."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.source import Source, dotted
from domainstream.tools.scaffold.style import call, statement, union

NO_EVENTS: Final = "Never"
"""The union of a service without events."""

INSIDE: Final = "None"
"""The value that the mapper returns for an event that stays inside the service."""


class Mapper(NamedTuple):
    """A function that maps events to channels."""

    function: cst.FunctionDef
    """The function."""

    match: cst.Match
    """Its `match` statement."""

    cases: dict[str, str]
    """The value that the case of each class returns, as it is written in code."""


class Consumer(NamedTuple):
    """An `EventConsumer` that a file creates."""

    name: str
    """The variable that holds it."""

    queue: str
    """Its queue, as it is written in code."""

    factory: cst.FunctionDef | None
    """The function that creates and returns it; None for a consumer at module level."""


def with_class(source: Source, union_name: str, class_name: str) -> Source:
    """Return the source with `class_name` in the union of a name; unchanged if the union has it."""
    alias = source.assignment(union_name)
    by_hand = f"add {class_name} to {union_name}"
    if alias is None or alias.value is None:
        raise source.cannot_edit(f"there is no {union_name} = A | B", by_hand)
    names = list(_names(source, alias.value))
    if class_name in names:
        return source
    if not all(names):
        raise source.cannot_edit(f"{union_name} is not a union of classes", by_hand)
    start, end = source.whole(alias.value)
    if "#" in source.slice(start, end):
        return source.inserted(source.line_start(end), f"    | {class_name}\n")
    kept = [name for name in names if name != NO_EVENTS]
    head = source.slice(source.start(alias), start).rstrip().removesuffix("=").rstrip()
    return source.replaced(source.start(alias), end, union(head, [*kept, class_name], source.width))


def _names(source: Source, value: cst.BaseExpression) -> Iterator[str]:
    """Yield the classes of a union; an empty string for a member that is not a name."""
    if isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.BitOr):
        yield from _names(source, value.left)
        yield from _names(source, value.right)
    else:
        yield source.text_of(value) if isinstance(value, cst.Name) else ""


def find_mapper(source: Source) -> Mapper:
    """Return the mapper of a file: the first function with a `match`."""
    for function in source.statements(cst.FunctionDef):
        for node in function.body.body:
            if isinstance(node, cst.Match):
                return Mapper(function, node, dict(_cases(source, node)))
    raise source.cannot_edit("there is no function with a match", "write it as in docs/how-to/add-a-publisher.md")


def _cases(source: Source, match: cst.Match) -> Iterator[tuple[str, str]]:
    for case in match.cases:
        returned = m.findall(case.body, m.Return())
        value = returned[0].value if returned and isinstance(returned[0], cst.Return) else None
        for pattern in m.findall(case.pattern, m.MatchClass()):
            if isinstance(pattern, cst.MatchClass):
                yield dotted(pattern.cls), source.text_of(value) if value else INSIDE


def with_case(source: Source, class_name: str, returned: str) -> Source:
    """Return the source with `case class_name(): return returned` before the wildcard, unless the class has a case."""
    mapper = find_mapper(source)
    if class_name in mapper.cases:
        return source
    if returned == INSIDE:
        source = _returning_none(source, mapper)
        mapper = find_mapper(source)
    cases = mapper.match.cases
    wildcard = next((case for case in cases if m.matches(case.pattern, m.MatchAs(name=None, pattern=None))), None)
    place = source.line_end(source.end(cases[-1]))
    if wildcard is not None:
        place = source.line_start(source.start(wildcard))
    pad = source.indent(source.start(cases[-1]))
    tail = "  # stays inside the service" if returned == INSIDE else ""
    body = statement("return", returned, pad + 4, source.width, tail)
    return source.inserted(place, f"{' ' * pad}case {class_name}():\n{body}\n")


def _returning_none(source: Source, mapper: Mapper) -> Source:
    """Return the source with `| None` in the mapper's return type, unless None is part of it or no type is given."""
    returns = mapper.function.returns
    text = source.text_of(returns.annotation) if returns else ""
    if returns is None or "None" in text or "Optional" in text:
        return source
    return source.inserted(source.end(returns.annotation), " | None")


def consumers(source: Source) -> Iterator[Consumer]:
    """Yield the consumers that a file creates at module level or in its functions."""
    for assignment in source.statements(cst.Assign):
        yield from _consumer(source, assignment, None)
    for function in source.statements(cst.FunctionDef):
        for inner in m.findall(function, m.Assign()):
            if isinstance(inner, cst.Assign):
                yield from _consumer(source, inner, function)


def _consumer(source: Source, assignment: cst.Assign, factory: cst.FunctionDef | None) -> Iterator[Consumer]:
    made = assignment.value
    if isinstance(made, cst.Call) and dotted(made.func).endswith("EventConsumer") and made.args:
        yield Consumer(dotted(assignment.targets[0].target), source.text_of(made.args[0].value), factory)


def names_in(source: Source) -> set[str]:
    """Return every name that a file binds at any level, so that new names can avoid them."""
    names = set()
    binding = m.OneOf(m.FunctionDef(), m.ClassDef(), m.Param(), m.AssignTarget(), m.AnnAssign(), m.ImportAlias())
    for node in m.findall(source.module, binding):
        if isinstance(node, cst.ImportAlias):
            names.add(dotted(node.asname.name if node.asname else node.name).partition(".")[0])
        else:
            names.add(dotted(getattr(node, "target", None) or getattr(node, "name", None)))
    return names


def logger_of(source: Source) -> str | None:
    """Return the name of the file's logger, if it has one."""
    for assignment in source.statements(cst.Assign):
        if isinstance(assignment.value, cst.Call) and dotted(assignment.value.func).endswith("getLogger"):
            return dotted(assignment.targets[0].target)
    return None


def with_handler(source: Source, consumer: Consumer, *, function: str, event_class: str, job: str) -> Source:
    """Return the source with a handler that logs: before the factory's `return`, else at the end of the file.

    `function` is its name; event class and job are given as they are written in code.
    """
    place, pad, before, after = _place(source, consumer)
    logger, width = logger_of(source) or "log", source.width
    parameters = [f"event: {event_class}", "context: EventContext"]
    arguments = ['"handling %s [%s]"', "event.aggregate_id", "context.correlation_id"]
    lines = [
        call(f"@{consumer.name}.on", [event_class, f"job={job}"], "", pad, width),
        call(f"async def {function}", parameters, " -> None:", pad, width),
        call(f"{logger}.info", arguments, "", pad + 4, width),
    ]
    return source.inserted(place, before + "".join(f"{line}\n" for line in lines) + after)


def _place(source: Source, consumer: Consumer) -> tuple[int, int, str, str]:
    """Return where a handler goes, how far it is indented, and the blank lines around it."""
    if consumer.factory is None:
        return len(source.text.encode()), 0, "\n\n", ""
    for line in reversed(consumer.factory.body.body):
        if m.matches(line, m.SimpleStatementLine(body=[m.Return(value=m.Name(consumer.name))])):
            start = source.line_start(source.start(line))
            return start, source.indent(start), "", "\n"
    by_hand = f"end it with: return {consumer.name}"
    raise source.cannot_edit(f"{consumer.factory.name.value} does not return its consumer last", by_hand)
