"""Adds a case to a service's mapper."""

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.python_text import statement
from domainstream.tools.scaffold.source import Source, dotted

INSIDE = "None"
"""The value that a case returns for an event that stays inside the service."""


class Mapper(NamedTuple):
    """A function that maps events to channels."""

    function: cst.FunctionDef
    """The function."""

    match: cst.Match
    """Its `match` statement."""

    cases: dict[str, str]
    """The value that the case of each class returns, as it is written in code."""


def find_mapper(source: Source) -> Mapper:
    """Return the mapper of a file: the first function with a `match`."""
    for function in source.statements(cst.FunctionDef):
        for node in function.body.body:
            if isinstance(node, cst.Match):
                return Mapper(function, node, dict(_cases(source, node)))
    raise source.cannot_edit("there is no function with a match", "write it as in docs/how-to/add-a-publisher.md")


def with_case(source: Source, class_name: str, returned: str) -> Source:
    """Return the source with `case class_name(): return returned` before the wildcard, unless the class has a case."""
    mapper = find_mapper(source)
    if class_name in mapper.cases:
        return source
    if returned == INSIDE:
        source = _allowing_none(source, mapper)
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


def _allowing_none(source: Source, mapper: Mapper) -> Source:
    returns = mapper.function.returns
    if (
        returns is None
        or "None" in source.text_of(returns.annotation)
        or "Optional" in source.text_of(returns.annotation)
    ):
        return source
    return source.inserted(source.end(returns.annotation), " | None")


def _cases(source: Source, match: cst.Match) -> Iterator[tuple[str, str]]:
    for case in match.cases:
        returned = m.findall(case.body, m.Return())
        value = returned[0].value if returned and isinstance(returned[0], cst.Return) else None
        for pattern in m.findall(case.pattern, m.MatchClass()):
            if isinstance(pattern, cst.MatchClass):
                yield dotted(pattern.cls), source.text_of(value) if value else INSIDE
