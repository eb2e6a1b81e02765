"""Adds channels and queues to the subscriptions."""

from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.edits.brackets import with_item
from domainstream.tools.scaffold.python_text import call, exploded
from domainstream.tools.scaffold.source import Source, dotted


def with_channel(source: Source, channel: str) -> Source:
    """Return the source with `channel: []`, unless it has the channel; `channel` is `Channel.DOMAIN_...`."""
    if channel in dict(_entries(source)):
        return source
    table = _map(source)
    if table is None:
        raise source.cannot_edit(
            "there is no create_multiple_handlers({...})", f"add {channel}: [] to the subscriptions"
        )
    return with_item(source, table, f"{channel}: []")


def subscribed(source: Source, channel: str) -> list[tuple[str, str]]:
    """Return the queues and jobs of a channel, as they are written in code."""
    handlers = dict(_entries(source)).get(channel)
    if not isinstance(handlers, cst.List):
        raise source.cannot_edit(f"{channel} has no list of handlers", f"{channel}: []")
    return [
        _handler(source, call_node) for call_node in m.findall(handlers, m.Call()) if isinstance(call_node, cst.Call)
    ]


def all_subscribed(source: Source) -> Iterator[tuple[str, str, str]]:
    """Yield channel, queue and job of each subscription, as they are written in code."""
    for channel, handlers in _entries(source):
        if isinstance(handlers, cst.List):
            yield from ((channel, *handler) for handler in subscribed(source, channel))


def with_handler(source: Source, channel: str, queue: str, job: str) -> Source:
    """Return the source with `to_queue(queue, job=job)` on a channel of the map."""
    if (queue, job) in subscribed(source, channel):
        return source
    handlers = dict(_entries(source))[channel]
    if not isinstance(handlers, cst.List):
        raise source.cannot_edit(f"{channel} has no list of handlers", f"{channel}: []")
    start, end = source.whole(handlers)
    pad = source.indent(start) + 4
    new = call("to_queue", [queue, f"job={job}"], "", pad, source.width - 1).lstrip()
    if handlers.elements and "\n" in source.slice(start, end):
        return with_item(source, handlers, call("to_queue", [queue, f"job={job}"], "", 0, source.width - 1 - pad))
    items = [*(source.text_of(element.value) for element in handlers.elements), new]
    return source.replaced(start, end, exploded("[", items, "]", " " * (pad - 4)))


def _handler(source: Source, handler: cst.Call) -> tuple[str, str]:
    texts = {arg.keyword.value if arg.keyword else "queue": source.text_of(arg.value) for arg in handler.args[:2]}
    return texts.get("queue", ""), texts.get("job", "")


def _map(source: Source) -> cst.Dict | None:
    for node in m.findall(source.module, m.Call()):
        if isinstance(node, cst.Call) and dotted(node.func).endswith("create_multiple_handlers") and node.args:
            table = node.args[0].value
            return table if isinstance(table, cst.Dict) else None
    return None


def _entries(source: Source) -> Iterator[tuple[str, cst.BaseExpression]]:
    table = _map(source)
    for entry in table.elements if table else ():
        if isinstance(entry, cst.DictElement):
            yield source.text_of(entry.key), entry.value
