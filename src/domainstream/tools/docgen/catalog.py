"""The catalogue of a system: one HTML page that works offline, or a page of the dashboard."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.drawing import HEIGHT, draw
from domainstream.tools.docgen.entries import Entry, Message, Receiver, tables_of
from domainstream.tools.docgen.examples import example_message
from domainstream.tools.docgen.handlers import HandlerNames, names_of
from domainstream.tools.docgen.schemas import Schemas, schemas_of
from domainstream.tools.docgen.system import DocumentedChannel, events_of

STATIC: Final = Path(__file__).parent / "static"
"""The folder of the page's script and style."""


def catalog_of(channels: Iterable[DocumentedChannel], *, title: str, handlers: HandlerNames | None = None) -> str:
    """Return the page as a whole, with the names of what handles the jobs where they are known."""
    documented = tuple(channels)
    schemas = schemas_of(events_of(documented))
    entries = [_entry(channel, schemas, handlers or {}) for channel in documented]
    script, style = ((STATIC / name).read_text(encoding="utf-8") for name in ("catalog.js", "catalog.css"))
    # Only this script may run, even if a docstring ever gets past the escaping.
    digest = b64encode(sha256(script.encode()).digest()).decode()
    inline = {"script": Markup(script), "style": Markup(style), "script_hash": digest}  # noqa: S704
    return _page().render(title=title, entries=entries, **_parts(entries), **inline, files="", home="") + "\n"


def linked_catalog(entries: Sequence[Entry], *, title: str, files: str, home: str, icon: str) -> str:
    """Return the page without inline code, for a server: script and style are below `files`, and `home` leads back."""
    return _page().render(title=title, entries=entries, **_parts(entries), files=files, home=home, icon=icon) + "\n"


@cache
def _page() -> Template:
    environment = Environment(
        loader=PackageLoader("domainstream.tools.docgen", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("catalog.html.jinja")


def _parts(entries: Sequence[Entry]) -> dict[str, object]:
    return {
        "contents": [
            (service, [entry for entry in entries if (entry.publisher or "") == service])
            for service in sorted({entry.publisher or "" for entry in entries}, key=lambda name: (not name, name))
        ],
        "whole": draw(entries),
        "pictures": {entry.value: draw([entry]) for entry in entries},
        "box_height": HEIGHT,
    }


def _entry(channel: DocumentedChannel, schemas: Schemas, handlers: HandlerNames) -> Entry:
    service = channel.publisher or channel.channel.service
    messages = []
    for event in channel.events:
        payload = schemas.payloads[event]
        description = parse_docstring(event.__doc__ or "").description
        example = example_message(event, service, payload, schemas.components)
        tables = tuple(tables_of(payload, schemas.components))
        messages.append(Message(event.__name__, event.version, description, tables, example))
    receivers = tuple(
        Receiver(queue, names_of(handlers, channel.value, queue.queue, queue.job)) for queue in channel.handlers
    )
    return Entry(channel.value, channel.publisher, receivers, tuple(messages), channel.channel.partitions)
