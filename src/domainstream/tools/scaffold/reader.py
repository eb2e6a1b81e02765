"""`domainstream new reader`: a class by which a service reads another service's event, made from the event's contract.

Types become as wide as they may: a reader takes any text where its owner has an enum, so that a new member does not
disturb it. Classes within the payload get a class of their own, with all their fields or with those that are named.
"""

import ast
import keyword
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from domainstream.tools.check.model.contract import EventSnapshot, FieldSnapshot
from domainstream.tools.check.reading.compatible import ARRAYS, OBJECTS, parts_of_union, values_of_members
from domainstream.tools.check.rules.readers import readable_events
from domainstream.tools.scaffold.errors import RefusedError, UnknownNameError
from domainstream.tools.scaffold.handler import plan_dependency
from domainstream.tools.scaffold.names import near_or_known, snake, words
from domainstream.tools.scaffold.system import System

_DATES: Final = "datetime as dt"
_PLAIN: Final = {
    **{name: (name, ()) for name in ("str", "int", "float", "bool", "bytes", "None")},
    "Any": ("Any", ("typing:Any",)),
    "object": ("Any", ("typing:Any",)),
    "Decimal": ("Decimal", ("decimal:Decimal",)),
    "UUID": ("UUID", ("uuid:UUID",)),
    "date": ("dt.date", (_DATES,)),
    "time": ("dt.time", (_DATES,)),
    "timedelta": ("dt.timedelta", (_DATES,)),
    # Always with a time zone: a naive time means something else on another machine.
    "datetime": ("Annotated[dt.datetime, Meta(tz=True)]", (_DATES, "typing:Annotated", "msgspec:Meta")),
}

Chosen = Mapping[str, "Chosen"]
"""The fields that are read, each with those of the class within it; empty for all."""


class ReaderClass(NamedTuple):
    """A class that is to be written."""

    name: str
    """Its name."""

    title: str
    """The name of the owner's class."""

    fields: Sequence[str]
    """The lines of its fields."""


def plan_reader(system: System, service: str, event: str, fields: Sequence[str] | None) -> str:
    """Plan a reader's file, and return the event's type; `fields` may name inner ones, as `ward.name`.

    Raises `UnknownNameError` for a service, event or field that does not exist, `RefusedError` for an event of the
    service itself and for a file that has other fields already.
    """
    known = readable_events(system.project)
    event_type = event.strip().lower()
    reading = system.layout.existing(snake(service, "name of the service"))
    if event_type not in known:
        hint = near_or_known(event_type, known) if known else ""
        contracts = system.layout.settings.contracts
        raise UnknownNameError(
            f"There is no contract of {event_type}.{hint} Copy its owner's contract file into {contracts}/"
        )
    owned = known[event_type]
    owners = next((one for one in system.project.events if one.event_type == event_type), None)
    if owners is not None and owners.service == reading.name:
        problem = f"{owned.event} is an event of {owners.service} itself; handle it by its own class"
        raise RefusedError("The reader cannot be made:", [problem])
    upcast = owners is not None and any(chain.event == owners.symbol for chain in system.project.upcasters)
    upcasters_of = owners.symbol.rpartition(".")[::2] if owners is not None and upcast else None
    if owners is not None and upcast:
        plan_dependency(system, reading, owners.service)
    writer = _Writer(owned)
    writer.write(owned.payload, _chosen(fields or ()), f"{owned.event}Payload")
    name = snake(owned.event, "name of the event")
    path = f"{reading.consumers}/{name}.py"
    text = system.render(
        "reader/reader.py.j2",
        path,
        service=reading.name,
        owner=owners.service if owners else event_type.split("_")[1],
        sentence=words(name).capitalize(),
        classes=writer.classes,
        type_imports=sorted(writer.imports),
        event_class=owned.event,
        event_type=f'"{event_type}"',
        version=owned.version,
        upcasters_of=upcasters_of,
    )
    if system.plan.exists(path) and system.plan.read(path) != text:
        raise RefusedError(
            "The reader cannot be made:", [f"{path} exists and differs; change it by hand, or remove it"]
        )
    system.plan.write(path, text)
    return event_type


def _chosen(fields: Sequence[str]) -> Chosen:
    chosen: dict[str, dict[str, Chosen]] = {}
    for field in fields:
        name, _, inner = field.strip().partition(".")
        chosen.setdefault(name, {}).update(_chosen([inner]) if inner else {})
    return chosen


class _Writer:
    """Collects the classes that a reader needs, inner ones first, and their imports."""

    def __init__(self, owned: EventSnapshot) -> None:
        self.classes: list[ReaderClass] = []
        """The classes, the payload last."""
        self.imports: set[str] = set()
        """What their fields need, as `module:name`."""
        self._owned = owned
        self._names: dict[str, str] = {}

    def write(self, title: str, chosen: Chosen, name: str) -> None:
        """Add the class that reads the owner's class `title`; raise `UnknownNameError` for a field it does not have."""
        self._names[title] = name
        fields = self._owned.types[title].fields
        for wanted in chosen:
            if wanted not in fields:
                hint = near_or_known(wanted, fields)
                raise UnknownNameError(f"{title} of {self._owned.event} has no field {wanted!r}.{hint}")
        read = {field: fields[field] for field in chosen or fields}
        lines = [self._line(field, given, chosen.get(field, {})) for field, given in read.items()]
        self.classes.append(ReaderClass(name, title, lines))

    def _line(self, name: str, field: FieldSnapshot, inner: Chosen) -> str:
        try:
            annotation = self._type(ast.parse(field.type, mode="eval").body, inner)
        except (SyntaxError, _UnclearError):
            problem = (
                f"its field {name} is {field.type}, which the contract does not describe; leave it out by --fields"
            )
            raise RefusedError(f"{self._owned.event} cannot be read:", [problem]) from None
        optional = not field.required
        annotation += " | None" if optional and not annotation.endswith("None") else ""
        if name.isidentifier() and not keyword.iskeyword(name):
            return f"{name}: {annotation}{' = None' if optional else ''}"
        self.imports.add("msgspec:field")
        attribute = snake(name, "name of a field")
        attribute += "_" if keyword.iskeyword(attribute) else ""
        return f'{attribute}: {annotation} = field(name="{name}"{", default=None" if optional else ""})'

    def _type(self, node: ast.expr, inner: Chosen) -> str:
        if isinstance(node, ast.BinOp):
            spelled = [self._type(part, inner) for part in parts_of_union(node)]
            # The values of an enum may be of two types.
            parts = {one for text in spelled for one in ([text] if "[" in text else text.split(" | "))}
            return " | ".join(sorted(parts, key=lambda part: (part == "None", part)))
        if isinstance(node, ast.Constant) and node.value in (None, ...):
            return "None" if node.value is None else "..."
        if isinstance(node, ast.Name):
            return self._named(node.id, inner)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            return self._generic(node.value.id, node, inner)
        raise _UnclearError

    def _named(self, name: str, inner: Chosen) -> str:
        if name in self._owned.types:
            members = self._owned.types[name].members
            if members is not None:
                return _kinds(values_of_members(members))
            if name not in self._names:
                self.write(name, inner, name)
            return self._names[name]
        if name in ARRAYS or name in OBJECTS:
            return "list" if name in ARRAYS else "dict"
        if name not in _PLAIN:
            raise _UnclearError
        spelled, imports = _PLAIN[name]
        self.imports.update(imports)
        return spelled

    def _generic(self, name: str, node: ast.Subscript, inner: Chosen) -> str:
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Literal":
            return _kinds({part.value for part in parts if isinstance(part, ast.Constant)})
        kind = "tuple" if name == "tuple" else "list" if name in ARRAYS else "dict" if name in OBJECTS else ""
        if not kind:
            raise _UnclearError
        return f"{kind}[{', '.join(self._type(part, inner) for part in parts)}]"


class _UnclearError(Exception):
    """A type has a name that the contract does not explain."""


def _kinds(values: set[object] | frozenset[object]) -> str:
    """Return the type of any value of the same kinds."""
    return " | ".join(sorted({type(value).__name__ for value in values}, reverse=True))
