"""Reads mappers: functions that match on an event and return a channel."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from domainstream.tools.check.model.domain import ChannelEnum, Event, EventUnion
from domainstream.tools.check.model.flow import Mapper, Wildcard
from domainstream.tools.check.reading.cases import CaseReader, is_unreachable
from domainstream.tools.check.reading.events import union_members
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part

_LINES_ABOVE = 4
"""So far above a function a comment is still about it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_NONE = re.compile(r"\b(None|null)\b")
_RETURNS_NONE = re.compile(r"\b[Rr]eturns?\b[^.;]*\b(None|null)\b")
_DENIES = re.compile(r"\b(never|not|no|without|cannot)\b[^.:;,()]*\b(None|null)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """What mappers are read against."""

    symbols: Symbols
    """What names stand for."""

    enums: tuple[ChannelEnum, ...]
    """The enums of channels."""

    events: dict[str, Event]
    """The event classes by symbol."""

    unions: tuple[EventUnion, ...]
    """The unions of events."""

    @cached_property
    def event_of_type(self) -> dict[str, str]:
        """The event of each event type, by symbol."""
        return {event.event_type: event.symbol for event in self.events.values() if event.event_type}


def read_mappers(files: Iterable[Source], known: Known) -> Iterator[Mapper]:
    """Yield each mapper of the services."""
    enums = {enum.symbol for enum in known.enums}
    words = {enum.name.encode() for enum in known.enums}
    for source in files:
        if source.service and b"match " in source.text and any(word in source.text for word in words):
            module = known.symbols.module(source)
            for function in _functions(module):
                if (match := _match(function)) is not None and module is not None:
                    mapper = _mapper(function, match, module, known)
                    if mapper is not None and _speaks_of(function, module, known.symbols, enums):
                        yield mapper


def _functions(module: Module | None) -> Iterator[Function]:
    for statement in module.body if module else ():
        if isinstance(statement, Function):
            yield statement
        elif isinstance(statement, ast.ClassDef):
            yield from (one for one in statement.body if isinstance(one, Function))


def _match(function: Function) -> ast.Match | None:
    return next((statement for statement in function.body if isinstance(statement, ast.Match)), None)


def _speaks_of(function: Function, module: Module, symbols: Symbols, enums: set[str]) -> bool:
    """Tell whether a function returns channels: its return type says so, or a return does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name | ast.Attribute):
            symbol = symbols.of(node, module) or ""
            if symbol in enums or symbol.rpartition(".")[0] in enums:
                return True
    return False


def _mapper(function: Function, match: ast.Match, module: Module, known: Known) -> Mapper | None:
    parameter = _parameter(function)
    if parameter is None:
        return None
    annotated = union_members(parameter.annotation, module, known.symbols) if parameter.annotation else []
    members = [symbol for symbol in annotated if symbol in known.events]
    open_base = any(last_part(symbol) == "BaseEvent" for symbol in annotated)
    reader = CaseReader(module, known.symbols, known.enums, known.event_of_type)
    cases, understood, wildcard = reader.read(match, known.events)
    if not members and not (open_base and any(case.events for case in cases)):
        return None
    source = module.source
    return Mapper(
        name=function.name,
        service=source.service,
        parameter=parameter.arg,
        union=_union(members, annotated, module, known),
        cases=cases,
        understood=understood,
        wildcard=wildcard or _after(function, match, source),
        allows_none=_allows_none(function.returns, module, known),
        promises_none=_promises_none(function, module),
        location=source.location(function),
        return_location=source.location(function.returns or function),
    )


def _parameter(function: Function) -> ast.arg | None:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return next((one for one in arguments if one.arg not in {"self", "cls"}), None)


def _union(members: list[str], annotated: list[str], module: Module, known: Known) -> tuple[str, ...] | None:
    if members:
        return tuple(dict.fromkeys(members)) if len(members) == len(annotated) else None
    # A mapper of any event is meant for its service's union, if there is just one.
    own = [union for union in known.unions if union.service == module.source.service]
    return own[0].events if len(own) == 1 and own[0].complete else None


def _after(function: Function, match: ast.Match, source: Source) -> Wildcard | None:
    """Return what follows the match statement, as a wildcard: its end is reached by every event without a case."""
    rest = function.body[function.body.index(match) + 1 :]
    if not rest:
        return None
    return Wildcard(unreachable=is_unreachable(rest), location=source.location(rest[0]))


def _allows_none(annotation: ast.expr | None, module: Module, known: Known) -> bool | None:
    if annotation is None:
        return None
    if isinstance(annotation, ast.Subscript) and "Optional" in ast.unparse(annotation.value):
        return True
    enums = {enum.symbol for enum in known.enums}
    members = union_members(annotation, module, known.symbols)
    if "" in members and any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(annotation)):
        return True
    # A part that is neither an enum of channels nor None may be anything.
    return False if all(symbol in enums for symbol in members) else None


def _promises_none(function: Function, module: Module) -> bool:
    """Tell whether the words about a mapper speak of None: its docstring, its comments, or those of its file."""
    docstring = ast.get_docstring(function) or ""
    if _NONE.search(docstring):
        return not _DENIES.search(docstring)
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    lines = module.source.lines[max(first - _LINES_ABOVE, 0) : function.end_lineno]
    comments = [line.partition("#")[2] for line in lines]
    return any(
        _RETURNS_NONE.search(words) and not _DENIES.search(words) for words in [_file_docstring(module), *comments]
    )


def _file_docstring(module: Module) -> str:
    first = module.body[0] if module.body else None
    value = first.value if isinstance(first, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
