"""Reads how a class is written on the wire: under which names, as an object or an array, and with which tag.

msgspec itself says what a struct's options do: a twin of the struct, with the same names and options but without types,
is made from the syntax tree. What pydantic's options do is written here, because pydantic need not be installed.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from domainstream.tools.check.model.domain import Tag, WireForm
from domainstream.tools.check.reading.literals import UNCLEAR, literal_of
from domainstream.tools.check.reading.symbols import Module, Symbols, argument, assignments_of, last_part

_STRUCT_OPTIONS: Final = frozenset({"rename", "tag", "tag_field", "array_like", "forbid_unknown_fields", "kw_only"})
_PYDANTIC_OPTIONS: Final = frozenset({"alias_generator", "extra", "populate_by_name", "validate_by_name"})


class Member(NamedTuple):
    """A field as its class declares it."""

    attribute: str
    """Its name in Python."""

    required: bool
    """Whether it has no default."""

    given: Mapping[str, Any]
    """The names that it is given, by keyword: `name`, `alias`, `serialization_alias`, `validation_alias`."""


class Ancestor(NamedTuple):
    """A class, or one that it derives from."""

    module: Module
    """Its file."""

    node: ast.ClassDef
    """Its statement."""

    members: list[Member]
    """The fields that it declares itself."""


class Names(NamedTuple):
    """What a field is called on the wire."""

    written: str
    """The name that is written."""

    reads: tuple[str, ...] = ()
    """The names under which it is read, where that is not the written one alone."""

    argument: str = ""
    """The keyword by which a model takes it; empty for the name that it has in Python."""


class Written(NamedTuple):
    """How a class is written."""

    names: Mapping[str, Names]
    """The names of the fields, by attribute, in the order in which they are written."""

    form: WireForm
    """The rest."""


def written_struct(lineage: Sequence[Ancestor], symbols: Symbols) -> Written | None:
    """Return how a msgspec struct is written; `lineage` begins with it. None where its options say nothing."""
    keywords = {word.arg for one in lineage for word in one.node.keywords}
    if not keywords & (_STRUCT_OPTIONS - {"kw_only"}):
        return None
    bases = {symbols.name_of(base, one.module) for one in lineage for base in one.node.bases}
    keyword_only = "EventPayload" in bases
    twins: dict[int, Any] = {}
    computed: list[str] = []
    try:
        for one in reversed(lineage):
            parents = [symbols.class_of(symbols.of(base, one.module) or "") for base in one.node.bases]
            made = tuple(twins[id(parent[1])] for parent in parents if parent is not None and id(parent[1]) in twins)
            options, unclear = _options(one, symbols)
            computed += unclear
            given: dict[str, Any] = {"kw_only": keyword_only} | options
            twins[id(one.node)] = msgspec.defstruct(
                one.node.name,
                [_twin_field(member) for member in one.members],
                bases=made or None,
                **given,
            )
        twin = twins[id(lineage[0].node)]
    except (
        TypeError,
        ValueError,
        OverflowError,
    ) as error:  # msgspec refuses these options, and so does the start of the program
        return Written({}, WireForm(computed=(f"refused by msgspec: {error}",)))
    config = twin.__struct_config__
    tag = None if config.tag is None else Tag(config.tag_field, config.tag)
    names = dict(zip(twin.__struct_fields__, map(Names, twin.__struct_encode_fields__), strict=True))
    return Written(names, WireForm(config.array_like, tag, config.forbid_unknown_fields, tuple(computed)))


def _options(one: Ancestor, symbols: Symbols) -> tuple[dict[str, Any], list[str]]:
    """Return a struct's options, and those whose value only running the code gives."""
    given = [(word.arg, word.value) for word in one.node.keywords if word.arg in _STRUCT_OPTIONS]
    options = {str(name): literal_of(value, one.module, symbols) for name, value in given}
    unclear = [f"{name}={ast.unparse(value)}" for name, value in given if options[str(name)] is UNCLEAR]
    return {name: value for name, value in options.items() if value is not UNCLEAR}, unclear


def _twin_field(member: Member) -> tuple[str, Any, Any]:
    default: dict[str, Any] = {} if member.required else {"default": None}
    return member.attribute, Any, msgspec.field(name=member.given.get("name"), **default)


def written_model(lineage: Sequence[Ancestor], symbols: Symbols) -> Written:
    """Return how a pydantic model is written; `lineage` begins with it."""
    config: dict[str, tuple[Module, ast.expr]] = {}
    for one in reversed(lineage):
        config.update(dict(_configured(one, symbols)))
    read = {name: literal_of(value, module, symbols) for name, (module, value) in config.items()}
    by_attribute = any(read.get(name) is True for name in ("populate_by_name", "validate_by_name"))
    computed: list[str] = []
    generators: dict[str, Any] = {}
    if (generator := config.get("alias_generator")) is not None:
        generators, computed = _generators(*generator, symbols)
    names: dict[str, Names] = {}
    for one in reversed(lineage):
        for attribute, _, given in one.members:
            alias = given.get("alias")
            names_given = {
                kind: given.get(kind) or alias or _generated(generators.get(kind), attribute)
                for kind in ("serialization_alias", "validation_alias")
            }
            written = names_given["serialization_alias"] or attribute
            reads = names_given["validation_alias"] or attribute
            read_names = dict.fromkeys([*([reads] if isinstance(reads, str) else reads), *[attribute] * by_attribute])
            others = () if list(read_names) == [written] else tuple(read_names)
            names[attribute] = Names(written, others, next(iter(read_names)))
    return Written(names, WireForm(closed=read.get("extra") == "forbid", computed=tuple(computed)))


def _configured(one: Ancestor, symbols: Symbols) -> Iterator[tuple[str, tuple[Module, ast.expr]]]:
    """Yield a model's options: of its statement, of `model_config`, and of a class `Config`."""
    given = [(word.arg, word.value) for word in one.node.keywords]
    for name, value, _ in assignments_of(one.node.body):
        if name == "model_config" and isinstance(value, ast.Call):
            given += [(word.arg, word.value) for word in value.keywords]
        elif name == "model_config" and isinstance(value, ast.Dict):
            keys = [
                (literal_of(key, one.module, symbols), item) for key, item in zip(value.keys, value.values, strict=True)
            ]
            given += [(key, item) for key, item in keys if isinstance(key, str)]
    for statement in one.node.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Config":
            given += [(name, value) for name, value, _ in assignments_of(statement.body)]
    yield from ((name, (one.module, value)) for name, value in given if name in _PYDANTIC_OPTIONS)


def _generators(module: Module, node: ast.expr, symbols: Symbols) -> tuple[dict[str, Any], list[str]]:
    """Return which function makes which kind of name, and those that are not plain."""
    kinds = ("serialization_alias", "validation_alias")
    given: dict[str, ast.expr | None] = dict.fromkeys(kinds, node)
    if isinstance(node, ast.Call) and symbols.name_of(node.func, module) == "AliasGenerator":
        alias = argument(node, 0, "alias")
        given = {kind: next((word.value for word in node.keywords if word.arg == kind), alias) for kind in kinds}
    known = {kind: value for kind, value in given.items() if value is not None and not _is_none(value)}
    functions = {kind: GENERATORS.get(symbols.name_of(value, module)) for kind, value in known.items()}
    unclear = dict.fromkeys(ast.unparse(value) for kind, value in known.items() if functions[kind] is None)
    return functions, [f"alias_generator={name}" for name in unclear]


def _generated(generator: Any, attribute: str) -> str | None:
    return None if generator is None else generator(attribute)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _to_pascal(name: str) -> str:
    return re.sub(r"([0-9A-Za-z])_(?=[0-9A-Z])", lambda match: match[1], name.title())


def _to_camel(name: str) -> str:
    if re.match(r"^[a-z]+[A-Za-z0-9]*$", name) and not re.search(r"\d[a-z]", name):
        return name
    return re.sub(r"(^_*[A-Z])", lambda match: match[1].lower(), _to_pascal(name))


def _to_snake(name: str) -> str:
    for first, second in (("[A-Z]+", "[A-Z][a-z]"), ("[a-z]", "[A-Z]"), ("[0-9]", "[A-Z]"), ("[a-z]", "[0-9]")):
        name = re.sub(f"({first})({second})", r"\1_\2", name)
    return name.replace("-", "_").lower()


GENERATORS: Final = {"to_camel": _to_camel, "to_pascal": _to_pascal, "to_snake": _to_snake}
"""The functions of `pydantic.alias_generators`; a test compares them."""


def given_names(calls: Sequence[ast.Call], module: Module, symbols: Symbols) -> dict[str, Any]:
    """Return the names that `field(name=...)` of msgspec and `Field(alias=...)` of pydantic give.

    `attrs.field(alias=...)` names an argument of the class, and nothing on the wire.
    """
    names: dict[str, Any] = {}
    for call in calls:
        function = last_part(symbols.of(call.func, module))
        wanted = {"field": ("name",), "Field": ("alias", "serialization_alias", "validation_alias")}.get(function, ())
        for word in call.keywords:
            if word.arg is not None and word.arg in wanted:
                name = _name(word.value, module, symbols)
                choices = isinstance(name, tuple) and word.arg == "validation_alias"
                names[word.arg] = name if choices or isinstance(name, str | None) else ast.unparse(word.value)
    return {key: name for key, name in names.items() if name is not None}


def _name(node: ast.expr, module: Module, symbols: Symbols) -> str | tuple[str, ...] | None:
    """Return a name, or the names of `AliasChoices`; a name that is not plain is its own spelling."""
    if isinstance(node, ast.Call):
        function, values = symbols.name_of(node.func, module), [_name(each, module, symbols) for each in node.args]
        if function == "AliasChoices":
            return tuple(value for value in values if isinstance(value, str))
        if function == "AliasPath":
            return ".".join(value for value in values if isinstance(value, str))
    value = literal_of(node, module, symbols)
    return value if isinstance(value, str) or value is None else ast.unparse(node)
