"""Reads what payloads are made of (fields, nested structs, enums), and the naive datetimes that code puts into them."""

import ast
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.domain import Field, NaiveCall, Shape, WireForm
from domainstream.tools.check.reading.constraints import add_limits, limits_of, validators_of
from domainstream.tools.check.reading.literals import values_of
from domainstream.tools.check.reading.sensitive import is_sensitive
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Function, Module, Symbols
from domainstream.tools.check.reading.types import TypeNormalizer
from domainstream.tools.check.reading.wire import (
    Ancestor,
    Member,
    Names,
    Written,
    given_names,
    written_model,
    written_struct,
)

_DEFAULTS: Final = frozenset({"default", "default_factory", "factory"})
_FIELD_CALLS: Final = frozenset({"field", "ib", "attrib"})
_CLOCK_WORDS: Final = (b"now()", b"utcnow(", b"utcfromtimestamp(")
_ALWAYS_NAIVE: Final = frozenset({"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"})
_NOW: Final = "datetime.datetime.now"


def read_shapes(payload: str, symbols: Symbols, known: Collection[str]) -> Iterator[Shape]:
    """Yield the shapes of a payload and of all that its fields name, as far as the system defines them.

    What is `known` already is left out, with all that it leads to.
    """
    left = [payload] if payload not in known else []
    seen = {payload, *known}
    while left:
        symbol = left.pop()
        found = symbols.class_of(symbol)
        if found is None:
            continue
        shape = _shape(symbol, *found, symbols)
        yield shape
        new = [used for used in shape.uses if used not in seen]
        left += new
        seen.update(new)


def _shape(symbol: str, module: Module, node: ast.ClassDef, symbols: Symbols) -> Shape:
    location = module.source.location(node)
    lineage = [(module, node)]
    for owner, class_node in lineage:
        parents = [symbols.class_of(symbols.of(base, owner) or "") for base in class_node.bases]
        lineage += [parent for parent in parents if parent is not None and parent not in lineage]
    named = (symbols.of(base, owner) or "" for owner, class_node in lineage for base in class_node.bases)
    roots = {base for base in named if symbols.class_of(base) is None}
    if any(root.endswith(("Enum", "Flag")) for root in roots):
        members = sorted(set(values_of(node, module, symbols)), key=lambda value: (isinstance(value, str), value))
        functions = {
            child.name for _, class_node in lineage for child in class_node.body if isinstance(child, Function)
        }
        return Shape(symbol, (), tuple(members), (), location, lenient="_missing_" in functions)
    declared = [list(_declared(owner, class_node, symbols)) for owner, class_node in lineage]
    ancestors = [
        Ancestor(*one, [field.member for field in fields]) for one, fields in zip(lineage, declared, strict=True)
    ]
    written = _written(ancestors, roots, symbols)
    attributes = {field.member.attribute: field for fields in reversed(declared) for field in fields}
    order = written.names or attributes
    fields = [_field(attributes[name], written.names.get(name)) for name in order if name in attributes]
    uses = dict.fromkeys(used for field in attributes.values() for used in field.normalizer.uses)
    return Shape(symbol, tuple(fields), None, tuple(uses), location, written.form)


class _Declared(NamedTuple):
    """A field as its class declares it, and what its annotation says."""

    member: Member
    annotation: str
    normalizer: TypeNormalizer
    location: Location
    old_name: str
    sensitive: bool


def _declared(module: Module, node: ast.ClassDef, symbols: Symbols) -> Iterator[_Declared]:
    """Yield the fields that a class declares itself."""
    total = not any(given.arg == "total" and ast.unparse(given.value) == "False" for given in node.keywords)
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        normalizer = TypeNormalizer(module, symbols)
        annotation = normalizer.of(statement.annotation)
        if normalizer.wrapper in {"ClassVar", "InitVar"} or annotation == "KW_ONLY":
            continue
        value = statement.value
        metadata = [call for call in normalizer.metadata if symbols.name_of(call.func, module) == "Field"]
        calls = [*metadata, *([value] if isinstance(value, ast.Call) else [])]
        for limits in [*validators_of(value, module, symbols), limits_of(value, module, symbols)]:
            add_limits(normalizer.constraints, "", limits, annotation.removesuffix(" | None"))
        required = _has_no_default(value, module, symbols) and all(
            _has_no_default(call, module, symbols) for call in metadata
        )
        required = required and total and normalizer.wrapper != "NotRequired"
        member = Member(statement.target.id, required, given_names(calls, module, symbols))
        old_name = next(_texts(value, ("name", "alias")), statement.target.id)
        sensitive = normalizer.sensitive or any(is_sensitive(call, module, symbols) for call in calls)
        yield _Declared(member, annotation, normalizer, module.source.location(statement), old_name, sensitive)


def _texts(value: ast.expr | None, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the plain texts that a call is given for these keywords."""
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        given = keyword.value
        if keyword.arg in names and isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield given.value


def _has_no_default(value: ast.expr | None, module: Module, symbols: Symbols) -> bool:
    if not isinstance(value, ast.Call):
        return value is None
    function = symbols.name_of(value.func, module)
    given = any(keyword.arg in _DEFAULTS for keyword in value.keywords)
    # pydantic's Field takes the default as its first argument; `...` is none.
    first = any(ast.unparse(argument) != "..." for argument in value.args[:1])
    return function.lower() in _FIELD_CALLS and not given and not first


def _written(ancestors: list[Ancestor], roots: Collection[str], symbols: Symbols) -> Written:
    """Return how a class with fields is written; without names where they are those of its attributes."""
    if any(root.endswith(".NamedTuple") for root in roots):
        return Written({}, WireForm(array=True, closed=True))
    decorators = {
        symbols.of(each.func if isinstance(each, ast.Call) else each, one.module) or ""
        for one in ancestors
        for each in one.node.decorator_list
    }
    members = [member for one in reversed(ancestors) for member in one.members]
    if any(decorator.startswith(("attr.", "attrs.")) for decorator in decorators):
        public = (member.attribute for member in members if not member.attribute.startswith("_"))
        return Written({attribute: Names(attribute) for attribute in public}, WireForm())
    aliased = any(member.given.keys() - {"name"} for member in members)
    is_model = aliased or any(root.startswith("pydantic.") for root in roots)
    if is_model and not decorators:
        return written_model(ancestors, symbols)
    renamed = {member.attribute: Names(member.given.get("name") or member.attribute) for member in members}
    return written_struct(ancestors, symbols) or Written(renamed, WireForm())


def _field(declared: _Declared, names: Names | None) -> Field:
    attribute, required, given = declared.member
    written, reads, argument = names or Names(attribute)
    return Field(
        name=written,
        annotation=declared.annotation,
        required=required,
        naive=declared.normalizer.naive,
        location=declared.location,
        constraints=declared.normalizer.constraints,
        reads=reads,
        attribute=attribute,
        argument=argument or (attribute if "name" in given else declared.old_name),
        first_format_name="" if attribute.startswith("_") else declared.old_name,
        sensitive=declared.sensitive,
    )


def read_naive_calls(source: Source, symbols: Symbols, payloads: Collection[str]) -> Iterator[NaiveCall]:
    """Yield each `datetime.now()` without a time zone, and the like, among the arguments of a payload."""
    if not source.service or not any(word in source.text for word in _CLOCK_WORDS):
        return
    if (module := symbols.module(source)) is None:
        return
    for call in module.nodes:
        if not isinstance(call, ast.Call) or symbols.of(call.func, module) not in payloads:
            continue
        for keyword in call.keywords:
            given = keyword.value
            if not isinstance(given, ast.Call):
                continue
            symbol = symbols.of(given.func, module)
            if symbol in _ALWAYS_NAIVE or (symbol == _NOW and not given.args and not given.keywords):
                name = f"{ast.unparse(call.func)}.{keyword.arg}"
                yield NaiveCall(name, ast.unparse(given), source.location(given))
