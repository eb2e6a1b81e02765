"""Reads mappers: functions that match on an event and return a channel."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from domainstream.tools.check.model.domain import ChannelEnum, Event, EventUnion
from domainstream.tools.check.model.flow import Case, Mapper, Outcome, Wildcard
from domainstream.tools.check.reading.events import union_members
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Function, Module, Symbols, last_part

_LINES_ABOVE: Final = 4
"""How far above a function a comment is still about it."""

_MATCH: Final = re.compile(rb"^[ \t]+match\b[^\n]*:", re.MULTILINE)
_NONE: Final = re.compile(r"\b(None|null)\b")
_RETURNS_NONE: Final = re.compile(r"\b[Rr]eturns?\b[^.;]*\b(None|null)\b")
_DENIES: Final = re.compile(r"\b(never|not|no|without|cannot)\b[^.:;,()]*\b(None|null)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """What mappers are read against."""

    symbols: Symbols
    """What names refer to."""

    enums: Mapping[str, ChannelEnum]
    """The enums of channels by symbol."""

    events: Mapping[str, Event]
    """The event classes by symbol."""

    unions: tuple[EventUnion, ...]
    """The unions of events."""

    @cached_property
    def event_of_type(self) -> dict[str, str]:
        """The event of each event type, by symbol."""
        return {event.event_type: event.symbol for event in self.events.values() if event.event_type}


def read_mappers(source: Source, known: Known) -> Iterator[Mapper]:
    """Yield each mapper of a service."""
    # The enum of channels may have any name here.
    if not source.service or b"match" not in source.text or not _MATCH.search(source.text):
        return
    if (module := known.symbols.module(source)) is None:
        return
    for statement in module.body:
        for function in statement.body if isinstance(statement, ast.ClassDef) else [statement]:
            if isinstance(function, Function) and (mapper := _mapper(function, module, known)) is not None:
                yield mapper


def _mapper(function: Function, module: Module, known: Known) -> Mapper | None:
    """Return what a function maps; None unless it matches on an event and names channels."""
    match = next((statement for statement in function.body if isinstance(statement, ast.Match)), None)
    arguments = [*function.args.posonlyargs, *function.args.args]
    parameter = next((argument for argument in arguments if argument.arg not in {"self", "cls"}), None)
    if match is None or parameter is None:
        return None
    annotated = union_members(parameter.annotation, module, known.symbols) if parameter.annotation else []
    members = [symbol for symbol in annotated if symbol in known.events]
    open_base = any(last_part(symbol) == "BaseEvent" for symbol in annotated)
    cases, understood, wildcard = _cases(match, module, known)
    if not members and not (open_base and any(case.events for case in cases)):
        return None
    names = (node for node in ast.walk(function) if isinstance(node, ast.Name | ast.Attribute))
    symbols = (known.symbols.of(name, module) or "" for name in names)
    if not any(symbol in known.enums or symbol.rpartition(".")[0] in known.enums for symbol in symbols):
        return None
    source = module.source
    rest = function.body[function.body.index(match) + 1 :]
    if wildcard is None and rest:
        # Every event without a case reaches the end of the match statement, and so what follows it.
        wildcard = Wildcard(_is_unreachable(rest, module, known), source.location(rest[0]))
    return Mapper(
        name=function.name,
        service=source.service,
        parameter=parameter.arg,
        union=_union(members, annotated, source.service, known),
        cases=cases,
        understood=understood,
        wildcard=wildcard,
        allows_none=_allows_none(function.returns, module, known),
        promises_none=_promises_none(function, module),
        location=source.location(function),
        return_location=source.location(function.returns or function),
    )


def _union(members: list[str], annotated: list[str], service: str, known: Known) -> tuple[str, ...] | None:
    if members:
        return tuple(dict.fromkeys(members)) if len(members) == len(annotated) else None
    # A mapper of any event is meant for its service's union, if there is just one.
    own = [union for union in known.unions if union.service == service]
    return own[0].events if len(own) == 1 and own[0].complete else None


def _allows_none(annotation: ast.expr | None, module: Module, known: Known) -> bool | None:
    if annotation is None:
        return None
    if isinstance(annotation, ast.Subscript) and "Optional" in ast.unparse(annotation.value):
        return True
    members = union_members(annotation, module, known.symbols)
    if "" in members and any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(annotation)):
        return True
    # A part that is neither an enum of channels nor None may be anything.
    return False if all(symbol in known.enums for symbol in members) else None


def _promises_none(function: Function, module: Module) -> bool:
    """Return whether the words about a mapper promise None: its docstring, its comments, or those of its file."""
    docstring = ast.get_docstring(function) or ""
    if _NONE.search(docstring):
        return not _DENIES.search(docstring)
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    lines = module.source.lines[max(first - _LINES_ABOVE, 0) : function.end_lineno]
    comments = [line.partition("#")[2] for line in lines]
    file_docstring = ast.get_docstring(ast.Module(module.body, type_ignores=[]), clean=False) or ""
    return any(_RETURNS_NONE.search(words) and not _DENIES.search(words) for words in [file_docstring, *comments])


def _cases(match: ast.Match, module: Module, known: Known) -> tuple[tuple[Case, ...], bool, Wildcard | None]:
    """Return the cases about events, whether every case was understood, and `case _`; None when there is none.

    A case names an event class, `case StayCreated():`, or an event type, `case StayEventType.STAY_CREATED:`.
    """
    cases: list[Case] = []
    understood = True
    wildcard = None
    for node in match.cases:
        location = module.source.location(node.pattern)
        if _is_wildcard(node.pattern) and node.guard is None:
            wildcard = Wildcard(_is_unreachable(node.body, module, known), location)
            continue
        alternatives = [_event(pattern, module, known) for pattern in _alternatives(node.pattern)]
        if all(symbol in known.events for symbol, _ in alternatives):
            events = tuple(symbol for symbol, _ in alternatives)
            covers = node.guard is None and all(every for _, every in alternatives)
            cases.append(Case(events, covers, tuple(_outcomes(node.body, module, known)), location))
        else:
            understood = False
    return tuple(cases), understood, wildcard


def _alternatives(pattern: ast.pattern) -> list[ast.pattern]:
    if isinstance(pattern, ast.MatchOr):
        return [alternative for part in pattern.patterns for alternative in _alternatives(part)]
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        return _alternatives(pattern.pattern)
    return [pattern]


def _event(pattern: ast.pattern, module: Module, known: Known) -> tuple[str, bool]:
    """Return the event that a pattern is about, empty when that is not plain, and whether it takes every such event."""
    if isinstance(pattern, ast.MatchClass):
        every = all(map(_is_wildcard, [*pattern.patterns, *pattern.kwd_patterns]))
        return known.symbols.of(pattern.cls, module) or "", every
    if isinstance(pattern, ast.MatchValue):
        return known.event_of_type.get(known.symbols.text_of(pattern.value, module) or "", ""), True
    return "", False


def _is_wildcard(pattern: ast.pattern) -> bool:
    """Return whether a pattern takes everything: `_`, `other`, `_ as other`, `StayCreated() | _`."""
    return any(isinstance(each, ast.MatchAs) and each.pattern is None for each in _alternatives(pattern))


def _is_unreachable(body: list[ast.stmt], module: Module, known: Known) -> bool:
    """Return whether statements prove by `assert_never`, whatever it is imported as, that they are never reached."""
    calls = [node.func for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(known.symbols.name_of(call, module) == "assert_never" for call in calls)


def _outcomes(body: list[ast.stmt], module: Module, known: Known) -> Iterator[Outcome]:
    for value, statement in _returned_values(body):
        location = module.source.location(value or statement)
        if value is None or (isinstance(value, ast.Constant) and value.value is None):
            yield Outcome(None, None, location)
            continue
        enum, _, member = (known.symbols.of(value, module) or "").rpartition(".")
        if enum in known.enums:
            yield Outcome(member, enum, location)


def _returned_values(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.expr | None, ast.Return]]:
    """Yield what a body returns, both branches of `a if x else b`, but not what functions within it return."""
    left: list[ast.AST] = list(reversed(list(body)))
    while left:
        node = left.pop()
        if isinstance(node, ast.Return):
            values = [node.value]
            while values:
                value = values.pop()
                if isinstance(value, ast.IfExp):
                    values += [value.orelse, value.body]
                else:
                    yield value, node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left += reversed(list(ast.iter_child_nodes(node)))
