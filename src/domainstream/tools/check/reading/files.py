"""Reads what files say line by line: imports that a domain layer must not have, and comments that ignore findings."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.domain import LayerBreach
from domainstream.tools.check.model.project import IgnoreComment
from domainstream.tools.check.reading.sources import Source, Sources
from domainstream.tools.check.reading.symbols import absolute_name

_CLIENTS: Final = frozenset({"redis", "bullmq", "sqlalchemy", "psycopg", "asyncpg", "valkey"})
_OURS: Final = frozenset(
    {"redis", "publisher", "stream", "queue", "subscriber", "worker", "bootstrap", "testing", "tools", "cli"}
)
_OUR_NAMES: Final = frozenset({"RedisStreamPublisherClient", "EventProducer", "MemoryPublisher"})
_INFRASTRUCTURE_WORDS: Final = re.compile(
    rb"infrastructure_layer|domainstream\.|" + b"|".join(sorted(map(str.encode, _CLIENTS | _OUR_NAMES)))
)
_IGNORE_WORDS: Final = re.compile(rb"domainstream:\s*ignore")
_IGNORE_COMMENT: Final = re.compile(r"#\s*domainstream:\s*ignore\b(?:\[([^\]]*)\])?\W*(.*)")


def read_breaches(files: Iterable[Source], sources: Sources) -> Iterator[LayerBreach]:
    """Yield each import of infrastructure in a domain layer."""
    for source in files:
        if source.service and source.inside[:1] == ("domain_layer",) and _INFRASTRUCTURE_WORDS.search(source.text):
            tree = sources.tree(source)
            for node in ast.walk(tree) if tree else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    origin = f"{absolute_name(node, source)}." if isinstance(node, ast.ImportFrom) else ""
                    names = (f"{origin}{alias.name}" for alias in node.names)
                    # One statement is one finding, however many names it imports.
                    if (name := next(filter(_is_infrastructure, names), None)) is not None:
                        yield LayerBreach(name, source.location(node))


def _is_infrastructure(name: str) -> bool:
    parts = name.split(".")
    if "infrastructure_layer" in parts or parts[0] in _CLIENTS:
        return True
    return parts[0] == "domainstream" and len(parts) > 1 and (parts[1] in _OURS or parts[1] in _OUR_NAMES)


def read_ignores(source: Source) -> Iterator[IgnoreComment]:
    """Yield each comment such as `# domainstream: ignore[CODE] reason`; one on its own line is about the next line."""
    if not _IGNORE_WORDS.search(source.text):
        return
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(source.text).readline))
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
        # Not Python: the file is reported for that if any rule needs it.
        return
    for token in tokens:
        match = _IGNORE_COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if match:
            line, column = token.start
            codes = tuple(code.strip() for code in (match[1] or "").split(",") if code.strip())
            alone = not token.line[:column].strip()
            yield IgnoreComment(codes, match[2].strip(), line + alone, Location(source.path, line, column + 1))
