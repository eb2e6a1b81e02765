"""Adds to what all services share: members of enums, services and aggregates of the channels, and subscriptions."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import libcst as cst
import libcst.matchers as m

from domainstream.tools.scaffold.source import Source, dotted, small, with_item
from domainstream.tools.scaffold.style import STEP, call, exploded, statement

_CHANNELS: Final = "EventPublisherChannel"
_TEXT: Final = m.SimpleStatementLine(body=[m.Expr(value=m.OneOf(m.SimpleString(), m.ConcatenatedString()))])
"""A docstring, of a class or of the member above it."""


def members(enum: cst.ClassDef) -> dict[str, str]:
    """Return the names and values of the members whose value is a string."""
    return {name: value.raw_value for name, value in _assignments(enum) if isinstance(value, cst.SimpleString)}


def with_member(source: Source, enum: cst.ClassDef, name: str, value: str) -> Source:
    """Return the source with `name = "value"` as the last member of a class; unchanged if the name exists.

    It goes after the other members and their docstrings, before methods.
    """
    if name in dict(_assignments(enum)):
        return source
    if not isinstance(enum.body, cst.IndentedBlock):
        raise source.cannot_edit(f"{enum.name.value} is written on one line", f'add {name} = "{value}" to it', enum)
    lines = enum.body.body
    is_text = [m.matches(line, _TEXT) for line in lines]
    last = max((at for at, line in enumerate(lines) if any(map(_is_member, small(line)))), default=-1)
    while last + 1 < len(lines) and is_text[last + 1]:
        last += 1
    if last < 0 and isinstance(lines[0], cst.SimpleStatementLine):  # `pass`, or the like
        last = 0
    pad = source.pad(source.start(lines[0]))
    line = source.indented(statement(f"{name} =", f'"{value}"', 0, source.room(pad)), pad)
    if last < 0:
        return source.inserted_lines(source.line_start(source.start(lines[0])), f"{line}\n\n")
    gap = "\n" if last == 0 and is_text[0] else ""
    return source.inserted_lines(source.line_end(source.end(lines[last])), f"{gap}{line}\n")


def _is_member(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Assign | cst.AnnAssign)


def _assignments(enum: cst.ClassDef) -> Iterator[tuple[str, cst.BaseExpression]]:
    for line in enum.body.body:
        for node in small(line):
            if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
                yield node.targets[0].target.value, node.value


def channel_enum(source: Source) -> cst.ClassDef:
    """Return the class that derives from `EventPublisherChannel`."""
    for enum in source.subclasses(_CHANNELS):
        return enum
    raise source.cannot_edit("there is no enum of channels", f"class Channel({_CHANNELS}): ...")


def services_of(source: Source) -> dict[str, tuple[str, ...]] | None:
    """Return the services and their aggregates; None for an enum without services."""
    table = _services_table(source)
    if table is None:
        return None
    try:
        services = ast.literal_eval(source.text_of(table))
        return {service: tuple(aggregates) for service, aggregates in services.items()}
    except (ValueError, TypeError):
        by_hand = 'write it as a literal, such as {"coding": ("stay",)}'
        raise source.cannot_edit("the table of services is not a plain dict", by_hand, table) from None


def with_service(source: Source, service: str) -> Source:
    """Return the source with `service` in the table of services, if there is a table."""
    table = _services_table(source)
    if table is None or service in (services_of(source) or {}):
        return source
    return with_item(source, table, f'"{service}": ()')


def with_aggregate(source: Source, service: str, aggregate: str) -> Source:
    """Return the source with `aggregate` among the aggregates of `service`."""
    source = with_service(source, service)
    table = _services_table(source)
    if table is None or aggregate in (services_of(source) or {})[service]:
        return source
    for entry in table.elements:
        key = entry.key if isinstance(entry, cst.DictElement) else None
        if not isinstance(key, cst.SimpleString) or key.evaluated_value != service:
            continue
        if isinstance(entry.value, cst.Tuple | cst.List | cst.Set):
            return with_item(source, entry.value, f'"{aggregate}"')
    raise source.cannot_edit(f"the aggregates of {service} are not a tuple", f'add "{aggregate}" to them', table)


def _services_table(source: Source) -> cst.Dict | None:
    """Return the dict that the enum's `services=` holds or names; None without that argument."""
    keywords = {arg.keyword.value: arg.value for arg in channel_enum(source).keywords if arg.keyword}
    given: cst.BaseExpression | None = keywords.get("services")
    if isinstance(given, cst.Name):
        assignment = source.assignment(given.value)
        given = assignment.value if assignment else None
    if given is None and "services" in keywords:
        raise source.cannot_edit("the table of services is in another file", "move it into this file")
    if given is not None and not isinstance(given, cst.Dict):
        by_hand = 'write it as a literal, such as {"coding": ("stay",)}'
        raise source.cannot_edit("the table of services is not a dict", by_hand, given)
    return given


def with_channel(source: Source, channel: str) -> Source:
    """Return the source with `channel: []`, unless it has the channel; `channel` is `Channel.DOMAIN_...`.

    In a file without a table it is enough that the channel is named.
    """
    if channel in _subscriptions(source):
        return source
    table = _subscriptions_table(source)
    if table is None and re.search(rf"{re.escape(channel)}\b", source.text):
        return source
    if table is None:
        raise source.cannot_edit(
            "there is no create_multiple_handlers({...})", f"add {channel}: [] to the subscriptions"
        )
    return with_item(source, table, f"{channel}: []")


def with_subscription(source: Source, channel: str, queue: str, job: str, partitions: int = 1) -> Source:
    """Return the source with `to_queue(queue, job=job)` on a channel of the map."""
    handlers = _subscriptions(source).get(channel)
    given = [queue, f"job={job}", *([f"partitions={partitions}"] if partitions > 1 else [])]
    if not isinstance(handlers, cst.List):
        by_hand = f"{channel}: [to_queue({', '.join(given)})]"
        raise source.cannot_edit(f"{channel} has no list of handlers", by_hand, handlers)
    if (queue, job) in _queues_and_jobs(source, handlers):
        return source
    start, end = source.whole(handlers)
    pad = source.pad(start)
    new = call("to_queue", given, "", 0, source.room(pad) - len(STEP) - 1)  # for the comma
    if len(source.slice(start, end).splitlines()) > 1:
        return with_item(source, handlers, new)
    items = [source.slice(*source.whole(element.value)) for element in handlers.elements]
    stars = ["*" if isinstance(element, cst.StarredElement) else "" for element in handlers.elements]
    items = [*map("".join, zip(stars, items, strict=True)), new.replace("\n", f"\n{STEP}")]
    return source.replaced(start, end, source.indented(exploded("[", items, "]", ""), pad)[len(pad) :])


def all_subscribed(source: Source) -> Iterator[tuple[str, str, str]]:
    """Yield channel, queue and job of each subscription, as they are written in code."""
    for channel, handlers in _subscriptions(source).items():
        if isinstance(handlers, cst.List):
            yield from ((channel, queue, job) for queue, job in _queues_and_jobs(source, handlers))


def _queues_and_jobs(source: Source, handlers: cst.List) -> Iterator[tuple[str, str]]:
    for handler in m.findall(handlers, m.Call()):
        if isinstance(handler, cst.Call):
            texts = {
                arg.keyword.value if arg.keyword else "queue": source.text_of(arg.value) for arg in handler.args[:2]
            }
            yield texts.get("queue", ""), texts.get("job", "")


def _subscriptions(source: Source) -> dict[str, cst.BaseExpression]:
    """Return the handlers of each channel; empty without a map of subscriptions."""
    table = _subscriptions_table(source)
    entries = table.elements if table else ()
    return {source.text_of(entry.key): entry.value for entry in entries if isinstance(entry, cst.DictElement)}


def _subscriptions_table(source: Source) -> cst.Dict | None:
    for node in m.findall(source.module, m.Call()):
        if isinstance(node, cst.Call) and dotted(node.func).endswith("create_multiple_handlers") and node.args:
            table = node.args[0].value
            return table if isinstance(table, cst.Dict) else None
    return None
