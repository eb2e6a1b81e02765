"""Reads calls that put a datetime without a time zone into a payload."""

import ast
import re
from collections.abc import Collection, Iterable, Iterator

from domainstream.tools.check.model.domain import NaiveCall
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols

_WORDS = re.compile(rb"\bnow\(\)|\butcnow\(|\butcfromtimestamp\(")
_ALWAYS_NAIVE = frozenset({"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"})
_NOW = "datetime.datetime.now"


def read_naive_calls(files: Iterable[Source], symbols: Symbols, payloads: Collection[str]) -> Iterator[NaiveCall]:
    """Yield each `datetime.now()` without a time zone, and the like, among the arguments of a payload."""
    for module in symbols.modules(source for source in files if source.service and _WORDS.search(source.text)):
        for node in (one for statement in module.body for one in ast.walk(statement)):
            if isinstance(node, ast.Call) and symbols.of(node.func, module) in payloads:
                for keyword in node.keywords:
                    if _is_naive(keyword.value, module, symbols):
                        name = f"{ast.unparse(node.func)}.{keyword.arg}"
                        yield NaiveCall(name, ast.unparse(keyword.value), module.source.place(keyword.value))


def _is_naive(node: ast.expr, module: Module, symbols: Symbols) -> bool:
    if not isinstance(node, ast.Call):
        return False
    symbol = symbols.of(node.func, module)
    return symbol in _ALWAYS_NAIVE or (symbol == _NOW and not node.args and not node.keywords)
