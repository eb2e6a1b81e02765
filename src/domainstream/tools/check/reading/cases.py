"""Reads the cases of a mapper's match statement."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from domainstream.tools.check.model.domain import ChannelEnum, Event
from domainstream.tools.check.model.flow import Case, Outcome, Wildcard
from domainstream.tools.check.reading.symbols import Module, Symbols


class Cases(NamedTuple):
    """What a match statement says."""

    cases: tuple[Case, ...]
    """Its cases about events."""

    understood: bool
    """Whether every case was understood."""

    wildcard: Wildcard | None
    """Its `case _`; None when it has none."""


class CaseReader:
    """Reads cases by event class, `case StayCreated():`, and by event type, `case StayEventType.STAY_CREATED:`."""

    def __init__(
        self, module: Module, symbols: Symbols, enums: Iterable[ChannelEnum], event_of_type: Mapping[str, str]
    ) -> None:
        self._module = module
        self._symbols = symbols
        self._enums = {enum.symbol for enum in enums}
        self._event_of_type = event_of_type

    def read(self, match: ast.Match, events: Mapping[str, Event]) -> Cases:
        """Return the cases of `match`."""
        cases: list[Case] = []
        understood = True
        wildcard = None
        for one in match.cases:
            if _is_wildcard(one.pattern) and one.guard is None:
                wildcard = Wildcard(is_unreachable(one.body), self._module.source.location(one.pattern))
                continue
            case = self._case(one, events)
            cases += [case] if case else []
            understood = understood and case is not None
        return Cases(tuple(cases), understood, wildcard)

    def _case(self, node: ast.match_case, events: Mapping[str, Event]) -> Case | None:
        named = [self._event(pattern) for pattern in _alternatives(node.pattern)]
        known = tuple(symbol for symbol in named if symbol in events)
        if len(known) < len(named):
            return None
        covers = node.guard is None and all(map(_asks_for_nothing_else, _alternatives(node.pattern)))
        return Case(known, covers, tuple(self._outcomes(node.body)), self._module.source.location(node.pattern))

    def _event(self, pattern: ast.pattern) -> str:
        if isinstance(pattern, ast.MatchClass):
            return self._symbols.of(pattern.cls, self._module) or ""
        if isinstance(pattern, ast.MatchValue):
            value = self._symbols.text_of(pattern.value, self._module)
            return self._event_of_type.get(value or "", "")
        return ""

    def _outcomes(self, body: list[ast.stmt]) -> Iterator[Outcome]:
        for returned in returns_of(body):
            for value in _branches(returned.value):
                location = self._module.source.location(value or returned)
                if value is None or (isinstance(value, ast.Constant) and value.value is None):
                    yield Outcome(None, None, location)
                    continue
                enum, _, member = (self._symbols.of(value, self._module) or "").rpartition(".")
                if enum in self._enums:
                    yield Outcome(member, enum, location)


def is_unreachable(body: list[ast.stmt]) -> bool:
    """Tell whether statements prove by `assert_never` that they are never reached."""
    calls = [node.func for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(ast.unparse(call).rpartition(".")[2] == "assert_never" for call in calls)


def returns_of(body: Iterable[ast.AST]) -> Iterator[ast.Return]:
    """Yield the return statements of a body, but not those of functions within it."""
    left = list(reversed(list(body)))
    while left:
        node = left.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left += reversed(list(ast.iter_child_nodes(node)))


def _branches(value: ast.expr | None) -> list[ast.expr | None]:
    return [*_branches(value.body), *_branches(value.orelse)] if isinstance(value, ast.IfExp) else [value]


def _alternatives(pattern: ast.pattern) -> list[ast.pattern]:
    if isinstance(pattern, ast.MatchOr):
        return [one for part in pattern.patterns for one in _alternatives(part)]
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        return _alternatives(pattern.pattern)
    return [pattern]


def _is_wildcard(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _asks_for_nothing_else(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchClass):
        return all(map(_is_wildcard, [*pattern.patterns, *pattern.kwd_patterns]))
    return isinstance(pattern, ast.MatchValue)
