"""Adds to the code of one service: events to its union and its mapper, and handlers to its consumers."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.source import Source, dotted, with_last
from domainstream.tools.scaffold.style import STEP, call, statement, union

NO_EVENTS: Final = ("Never", "NoReturn")
"""The unions of a service without events."""

INSIDE: Final = "None"
"""The value that the mapper returns for an event that stays inside the service."""


_MAIN: Final = m.If(test=m.Comparison(left=m.Name("__name__")))
"""The block that runs a module as a program; handlers below it would not be registered when it runs."""


class Mapper(NamedTuple):
    """A function that maps events to channels."""

    function: cst.FunctionDef
    """The function."""

    match: cst.Match
    """Its `match` statement."""

    cases: dict[str, str]
    """The value that the case of each class or event type returns, as it is written in code."""


class Consumer(NamedTuple):
    """An `EventConsumer` that a file creates."""

    name: str
    """The variable that holds it."""

    queue: str
    """Its queue, as it is written in code."""

    factory: cst.FunctionDef | None
    """The function that creates and returns it; None for a consumer at module level."""


def with_class(source: Source, union_name: str, class_name: str) -> Source:
    """Return the source with `class_name` in the union of a name; unchanged if the union has it.

    The union is `A | B`, also in quotes, or `Union[A, B]`.
    """
    alias = source.assignment(union_name)
    by_hand = f"add {class_name} to {union_name}, so that it is: {union_name} = ... | {class_name}"
    if alias is None or alias.value is None:
        raise source.cannot_edit(f"there is no {union_name} = A | B", by_hand)
    value = alias.value
    if re.search(rf"\b{class_name}\b", source.text_of(value)):
        return source
    if isinstance(value, cst.Subscript) and dotted(value.value).rpartition(".")[2] == "Union":
        return with_last(source, value.slice, source.end(value), class_name)
    if isinstance(value, cst.SimpleString):
        place = source.end(value) - len(value.quote)
        return (
            source.inserted(place, f" | {class_name}")
            if value.raw_value not in NO_EVENTS
            else source.replaced(place - len(value.raw_value), place, class_name)
        )
    members = list(_members(value))
    names = [dotted(member) for member in members]
    if not all(names):
        raise source.cannot_edit(f"{union_name} is not a union of classes", by_hand, alias)
    start, end = source.whole(value)
    kept = [name for name in names if name.rpartition(".")[2] not in NO_EVENTS]
    if re.search(r"[#\\]", source.slice(source.start(alias), end)):
        if not kept:
            return source.replaced(source.start(members[-1]), source.end(members[-1]), class_name)
        return _with_last_member(source, members[-1], class_name, in_brackets=bool(value.lpar))
    head = source.slice(source.start(alias), start).rstrip().removesuffix("=").rstrip()
    changed = source.indented(union(head, [*kept, class_name], source.width), "")
    return source.replaced(source.start(alias), end, changed)


def _members(value: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """Yield the members of a union in their order."""
    if isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.BitOr):
        yield from _members(value.left)
        yield from _members(value.right)
    else:
        yield value


def _with_last_member(source: Source, last: cst.BaseExpression, class_name: str, *, in_brackets: bool) -> Source:
    """Return the source with a class after the last member: on a line of its own if the last member has one."""
    end = source.whole(last)[1]
    pad = source.pad(end)
    before = source.slice(source.line_start(end), source.start(last))
    after = source.slice(end, source.line_end(end)).strip()
    if in_brackets and before.strip() == "|" and (not after or after.startswith("#")):
        return source.inserted_lines(source.line_end(end), f"{pad}| {class_name}\n")
    return source.inserted(end, f" | {class_name}")


def find_mapper(source: Source, name: str = "") -> Mapper | None:
    """Return the mapper of a file: the function of a name that has a `match`, else the first with one, else None."""
    functions = [*source.statements(cst.FunctionDef)]
    for each in source.classes():
        functions += [line for line in each.body.body if isinstance(line, cst.FunctionDef)]
    for function in sorted(functions, key=lambda function: function.name.value != name):
        for node in function.body.body:
            if isinstance(node, cst.Match):
                return Mapper(function, node, dict(_cases(source, node)))
    return None


def _cases(source: Source, match: cst.Match) -> Iterator[tuple[str, str]]:
    """Yield the classes whose events all reach a case, and what it returns."""
    for case in match.cases:
        returned = m.findall(case.body, m.Return())
        value = returned[0].value if returned and isinstance(returned[0], cst.Return) else None
        for pattern in _alternatives(case.pattern) if case.guard is None else ():
            text = dotted(pattern.cls if isinstance(pattern, cst.MatchClass) else getattr(pattern, "value", None))
            if not isinstance(pattern, cst.MatchClass) or all(map(_takes_all, _inside(pattern))):
                yield text.rpartition(".")[2], source.text_of(value) if value else INSIDE


def _inside(pattern: cst.MatchClass) -> Iterator[cst.MatchPattern]:
    yield from (element.value for element in pattern.patterns)
    yield from (element.pattern for element in pattern.kwds)


def _alternatives(pattern: cst.MatchPattern) -> Iterator[cst.MatchPattern]:
    if isinstance(pattern, cst.MatchOr):
        for element in pattern.patterns:
            yield from _alternatives(element.pattern)
    elif isinstance(pattern, cst.MatchAs) and pattern.pattern is not None:
        yield from _alternatives(pattern.pattern)
    else:
        yield pattern


def _takes_all(pattern: cst.MatchPattern) -> bool:
    """Return whether a pattern matches everything: `_`, `other`, `_ as other`, `A() | _`."""
    return any(isinstance(each, cst.MatchAs) and each.pattern is None for each in _alternatives(pattern))


def _takes_events(case: cst.MatchCase) -> bool:
    """Return whether a case takes every event that reaches it."""
    base = m.MatchClass(cls=m.OneOf(m.Name("BaseEvent"), m.Attribute(attr=m.Name("BaseEvent"))), patterns=[], kwds=[])
    takes_all = any(m.matches(each, base) for each in _alternatives(case.pattern)) or _takes_all(case.pattern)
    return case.guard is None and takes_all


def with_case(source: Source, mapper_name: str, class_name: str, event_type: str, returned: str) -> Source:
    """Return the source with `case class_name(): return returned` before the wildcard of a mapper.

    It is unchanged if a case takes every event of the class, or of its `event_type`; in a mapper without a `match`, if
    the class is named.
    """
    mapper = find_mapper(source, mapper_name)
    if mapper is None:
        if re.search(rf"\b{class_name}\b", source.text):
            return source
        raise source.cannot_edit("there is no function with a match", f"map {class_name} to {returned}")
    if mapper.cases.keys() & {class_name.rpartition(".")[2], event_type}:
        return source
    if not isinstance(mapper.match.subject, cst.Name):
        by_hand = f"add a case for {event_type} to {mapper.function.name.value} that returns {returned}"
        raise source.cannot_edit("its match is not on the event itself", by_hand, mapper.match)
    if returned == INSIDE:
        source = _returning_none(source, mapper)
        mapper = find_mapper(source, mapper_name) or mapper
    cases = mapper.match.cases
    wildcard = next(filter(_takes_events, cases), None)
    place = source.line_end(source.end(cases[-1]))
    if wildcard is not None:
        place = source.line_start(source.start(wildcard))
    pad = source.pad(source.start(cases[-1]))
    tail = "  # stays inside the service" if returned == INSIDE else ""
    body = statement("return", returned, len(STEP), source.room(pad), tail)
    return source.inserted_lines(place, source.indented(f"case {class_name}():\n{body}\n", pad))


def _returning_none(source: Source, mapper: Mapper) -> Source:
    """Return the source with `| None` in the mapper's return type, unless None is part of it or no type is given."""
    returns = mapper.function.returns
    if returns is None or re.search(r"\b(None|Optional|Any)\b", source.text_of(returns.annotation)):
        return source
    quoted = returns.annotation if isinstance(returns.annotation, cst.SimpleString) else None
    return source.inserted(source.end(returns.annotation) - (len(quoted.quote) if quoted else 0), " | None")


def consumers(source: Source) -> Iterator[Consumer]:
    """Yield the consumers that a file creates at module level or in its functions."""
    for assignment in _assignments(source):
        yield from _consumer(source, assignment, None)
    for function in source.statements(cst.FunctionDef):
        for inner in m.findall(function, m.OneOf(m.Assign(), m.AnnAssign())):
            if isinstance(inner, cst.Assign | cst.AnnAssign):
                yield from _consumer(source, inner, function)


def _consumer(
    source: Source, assignment: cst.Assign | cst.AnnAssign, factory: cst.FunctionDef | None
) -> Iterator[Consumer]:
    made = assignment.value
    if isinstance(made, cst.Call) and dotted(made.func).endswith("EventConsumer") and made.args:
        yield Consumer(_target(assignment), source.text_of(made.args[0].value), factory)


def _assignments(source: Source) -> Iterator[cst.Assign | cst.AnnAssign]:
    yield from source.statements(cst.Assign)
    yield from source.statements(cst.AnnAssign)


def _target(assignment: cst.Assign | cst.AnnAssign) -> str:
    return dotted(assignment.target if isinstance(assignment, cst.AnnAssign) else assignment.targets[0].target)


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
    for assignment in _assignments(source):
        if isinstance(assignment.value, cst.Call) and dotted(assignment.value.func).endswith("getLogger"):
            return _target(assignment)
    return None


def with_handler(
    source: Source, consumer: Consumer, *, function: str, event_class: str, context: str, job: str
) -> Source:
    """Return the source with a handler that logs: before the factory's `return`, else at the end of the file.

    `function` is its name; the classes of event and context and the job are given as they are written in code.
    """
    place, pad, before, after = _place(source, consumer)
    logger, width = logger_of(source) or "log", source.room(pad)
    parameters = [f"event: {event_class}", f"context: {context}"]
    arguments = ['"handling %s [%s]"', "event.aggregate_id", "context.correlation_id"]
    lines = [
        call(f"@{consumer.name}.on", [event_class, f"job={job}"], "", 0, width),
        call(f"async def {function}", parameters, " -> None:", 0, width),
        call(f"{logger}.info", arguments, "", len(STEP), width),
    ]
    handler = source.indented("".join(f"{line}\n" for line in lines), pad)
    return source.inserted_lines(place, before + handler + after)


def _place(source: Source, consumer: Consumer) -> tuple[int, str, str, str]:
    """Return where a handler goes, how it is indented, and the blank lines around it."""
    if consumer.factory is None:
        main = next((each for each in source.module.body if m.matches(each, _MAIN)), None)
        if main is None:
            return len(source.text.encode()), "", "\n\n", ""
        return source.line_start(source.start(main)), "", "", "\n\n"
    for line in reversed(consumer.factory.body.body):
        if m.matches(line, m.SimpleStatementLine(body=[m.Return(value=m.Name(consumer.name))])):
            start = source.line_start(source.start(line))
            return start, source.pad(start), "", "\n"
    by_hand = f"end it with a line of its own: return {consumer.name}"
    raise source.cannot_edit(
        f"{consumer.factory.name.value} does not return its consumer last", by_hand, consumer.factory
    )
