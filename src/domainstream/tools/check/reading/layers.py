"""Reads imports of infrastructure in domain layers."""

import ast
import re
from collections.abc import Iterable, Iterator

from domainstream.tools.check.model.domain import LayerBreach
from domainstream.tools.check.reading.sources import Source, Sources
from domainstream.tools.check.reading.symbols import absolute_name

_CLIENTS = frozenset({"redis", "bullmq", "sqlalchemy", "psycopg", "asyncpg", "valkey"})
_OURS = frozenset(
    {"redis", "publisher", "stream", "queue", "subscriber", "worker", "bootstrap", "testing", "tools", "cli"}
)
_OUR_NAMES = frozenset({"RedisStreamPublisherClient", "EventProducer", "MemoryPublisher"})
_WORDS = re.compile(
    rb"infrastructure_layer|domainstream\.|" + b"|".join(sorted(map(str.encode, _CLIENTS | _OUR_NAMES)))
)


def read_breaches(files: Iterable[Source], sources: Sources) -> Iterator[LayerBreach]:
    """Yield each import of infrastructure in a domain layer."""
    for source in files:
        if source.service and source.inside[:1] == ("domain_layer",) and _WORDS.search(source.text):
            tree = sources.tree(source)
            for node in ast.walk(tree) if tree else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield from _breaches(node, source)


def _breaches(node: ast.Import | ast.ImportFrom, source: Source) -> Iterable[LayerBreach]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        origin = absolute_name(node, source)
        names = [f"{origin}.{alias.name}" for alias in node.names]
    # One statement is one finding, however many names it imports.
    return [LayerBreach(name, source.location(node)) for name in names if _is_infrastructure(name)][:1]


def _is_infrastructure(name: str) -> bool:
    parts = name.split(".")
    if "infrastructure_layer" in parts or parts[0] in _CLIENTS:
        return True
    return parts[0] == "domainstream" and len(parts) > 1 and (parts[1] in _OURS or parts[1] in _OUR_NAMES)
