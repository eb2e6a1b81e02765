"""Reads and edits the enum of channels and its table of services."""

import ast
from collections.abc import Iterator

import libcst as cst

from domainstream.tools.scaffold.edits.brackets import with_item
from domainstream.tools.scaffold.source import Source, dotted

_BASE = "EventPublisherChannel"


def channel_enum(source: Source) -> cst.ClassDef:
    """Return the class that derives from `EventPublisherChannel`."""
    for enum in source.classes():
        if any(dotted(base.value).endswith(_BASE) for base in enum.bases):
            return enum
    raise source.cannot_edit("there is no enum of channels", f"class Channel({_BASE}): ...")


def services_of(source: Source) -> dict[str, tuple[str, ...]] | None:
    """Return the services and their aggregates; None for an enum without services."""
    table = _table(source)
    if table is None:
        return None
    try:
        services = ast.literal_eval(source.text_of(table))
    except ValueError:
        raise source.cannot_edit("the table of services is not a plain dict", "write it as a literal") from None
    return {service: tuple(aggregates) for service, aggregates in services.items()}


def with_service(source: Source, service: str) -> Source:
    """Return the source with `service` in the table of services, if there is a table."""
    table = _table(source)
    if table is None or service in (services_of(source) or {}):
        return source
    return with_item(source, table, f'"{service}": ()')


def with_aggregate(source: Source, service: str, aggregate: str) -> Source:
    """Return the source with `aggregate` among the aggregates of `service`."""
    source = with_service(source, service)
    if aggregate in (services_of(source) or {service: (aggregate,)})[service]:
        return source
    for key, value in _entries(source):
        if key == service:
            return with_item(source, value, f'"{aggregate}"')
    raise source.cannot_edit(f"the aggregates of {service} are not a tuple", f'add "{aggregate}" to them')


def _entries(source: Source) -> Iterator[tuple[str, cst.Tuple | cst.List | cst.Set]]:
    table = _table(source)
    for entry in table.elements if table else ():
        key = entry.key if isinstance(entry, cst.DictElement) else None
        if isinstance(key, cst.SimpleString) and isinstance(entry.value, cst.Tuple | cst.List | cst.Set):
            yield str(key.evaluated_value), entry.value


def _table(source: Source) -> cst.Dict | None:
    """Return the dict that the enum's `services=` holds or names; None without that argument."""
    keywords = {arg.keyword.value: arg.value for arg in channel_enum(source).keywords if arg.keyword}
    given = keywords.get("services")
    if isinstance(given, cst.Name):
        given = _value_of(source, given.value)
    if given is None and "services" in keywords:
        raise source.cannot_edit("the table of services is in another file", "move it into this file")
    if given is not None and not isinstance(given, cst.Dict):
        raise source.cannot_edit("the table of services is not a dict", "write it as a literal")
    return given


def _value_of(source: Source, name: str) -> cst.BaseExpression | None:
    for plain in source.statements(cst.Assign):
        if dotted(plain.targets[0].target) == name:
            return plain.value
    return next((each.value for each in source.statements(cst.AnnAssign) if dotted(each.target) == name), None)
