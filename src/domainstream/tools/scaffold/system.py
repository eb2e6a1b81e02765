"""The project that a command changes: its plan, its layout, the enums that its services share, and new files.

New files are rendered from templates, in the code style of the project.
"""

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import jinja2

from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.scaffold.edits.contracts import channel_enum, members, with_member
from domainstream.tools.scaffold.edits.imports import import_paragraphs, imported_from, local_name, with_import
from domainstream.tools.scaffold.layout import Layout, Service, find_layout, module_of
from domainstream.tools.scaffold.names import kebab, pascal, with_article, words
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.source import Source
from domainstream.tools.scaffold.style import Style, call, statement

_TEMPLATES: Final = Path(__file__).parent / "templates"


class SharedEnum(NamedTuple):
    """An enum that all services share."""

    path: str
    """The path of its file."""

    name: str
    """The name of its class."""

    @property
    def module(self) -> str:
        """The dotted name of its module."""
        return module_of(self.path)

    @property
    def place(self) -> str:
        """Its import, as `module:name`."""
        return f"{self.module}:{self.name}"


class System:
    """The project that a command changes."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        """Where its parts are."""
        self.plan = Plan(layout.root)
        """The planned changes."""

    @classmethod
    def around(cls, folder: Path) -> "System":
        """Return the project around a folder; raise `UnknownNameError` outside of a project."""
        return cls(find_layout(folder.resolve()))

    @cached_property
    def first_party(self) -> set[str]:
        """The packages of the project, including new ones."""
        return self.layout.first_party()

    @cached_property
    def project(self) -> Project:
        """The system as `check` reads it, before any change."""
        return read_project(self.layout.root)

    @cached_property
    def channels(self) -> SharedEnum:
        """The enum of channels."""
        source = self.plan.source(self.layout.channels)
        return SharedEnum(source.path, channel_enum(source).name.value)

    @cached_property
    def queues(self) -> SharedEnum:
        """The enum of queues."""
        return self._text_enum(self.layout.settings.queues)

    @cached_property
    def jobs(self) -> SharedEnum:
        """The enum of jobs."""
        return self._text_enum(self.layout.settings.jobs)

    def values_of(self, shared: SharedEnum) -> dict[str, str]:
        """Return the members of a shared enum and their values."""
        source = self.plan.source(shared.path)
        return members(next(enum for enum in source.classes() if enum.name.value == shared.name))

    def add_member(self, shared: SharedEnum, name: str, value: str) -> None:
        """Plan a member of a shared enum, unless it exists."""
        source = self.plan.source(shared.path)
        enum = next(enum for enum in source.classes() if enum.name.value == shared.name)
        self.plan.put(with_member(source, enum, name, value))

    def member(self, shared: SharedEnum, value: str) -> str:
        """Return the member with a value as it is written in code, or the name of a new one."""
        known = {value: name for name, value in self.values_of(shared).items()}
        return f"{shared.name}.{known.get(value, value.replace('-', '_').upper())}"

    def add_imports(self, source: Source, wanted: Iterable[str]) -> Source:
        """Return a source with more imports, given as `module:name` or `module as alias`.

        Raises `CannotEditError` where something else has the name that an import would bind.
        """
        first_party = self.first_party.union(self.plan.style(source.path).first_party)
        for place in wanted:
            module, _, name = place.partition(" as ")[0].partition(":")
            local = place.rpartition(" as ")[2].rpartition(":")[2]
            origin = imported_from(source, local) or (source.path if local in source.names() else "")
            if origin and not _is_same(origin, module):
                by_hand = f"from {module} import {name} as ..." if name else f"import {module} as ..."
                raise source.cannot_edit(f"{local} is the name of something else in it, from {origin}", by_hand)
            # What a package exports under a name is what its module calls so.
            if not origin or origin == module or not name:
                source = with_import(source, place, first_party)
        return source

    def imported(self, source: Source, place: str) -> tuple[Source, str]:
        """Return a source with `module:name` imported, and its local name, which may be an alias that it has."""
        module, _, name = place.partition(":")
        known = local_name(source, module, name) or (name if module_of(source.path) == module else None)
        return (source, known) if known else (self.add_imports(source, [place]), name)

    def member_in(self, source: Source, shared: SharedEnum, member: str) -> str:
        """Return a member, given as `Enum.MEMBER`, as it is written in a source that may have an alias of the enum."""
        return f"{self.imported(source, shared.place)[1]}.{member.rpartition('.')[2]}"

    def render(self, template: str, path: str, **values: Any) -> str:
        """Return a template rendered for the file at `path`."""
        return render(template, self.plan.style(path), self.first_party, **values, **self._shared())

    def create(self, template: str, path: str, **values: Any) -> None:
        """Plan a file from a template, unless it exists."""
        if not self.plan.exists(path):
            self.plan.write(path, self.render(template, path, **values))

    def create_all(self, folder: str, service: Service, **values: Any) -> None:
        """Plan every missing file of a folder of templates for a service."""
        values = {**values, **self._shared(), "service": service.name}
        create_all(self.plan, folder, service.folder, self.first_party, values)

    def _shared(self) -> dict[str, str]:
        named = {"channels": self.channels, "queues": self.queues, "jobs": self.jobs}
        modules = {f"{name}_module": shared.module for name, shared in named.items()}
        enums = {f"{name}_enum": shared.name for name, shared in named.items()}
        return {**modules, **enums, "subscriptions_module": module_of(self.layout.subscriptions)}

    def _text_enum(self, path: str) -> SharedEnum:
        source = self.plan.source(path)
        for enum in source.subclasses("Enum"):  # or StrEnum
            return SharedEnum(path, enum.name.value)
        raise source.cannot_edit("there is no enum", "class BullMqQueues(StrEnum): pass")


def _is_same(origin: str, module: str) -> bool:
    """Return whether a name from one module is taken to be that of another: both are of one package."""
    packages = (name.partition(".")[0].removesuffix("_extensions") for name in (origin, module))
    return len(set(packages)) == 1


def render(template: str, style: Style, first_party: set[str], **values: Any) -> str:
    """Return a rendered template; `first_party` are the packages of the project, for the order of imports."""
    width, packages = style.width, first_party.union(style.first_party)
    helpers = {
        "imports": lambda wanted: import_paragraphs(wanted, packages, width),
        "call": lambda head, arguments, tail="", indent=0: call(head, arguments, tail, indent, width),
        "statement": lambda head, value, indent=0: statement(head, value, indent, width),
    }
    return _environment().get_template(template).render(**helpers, **values)


def create_all(plan: Plan, folder: str, target: str, first_party: set[str], values: Mapping[str, Any]) -> None:
    """Plan every missing file of a folder of templates; `__name__` in a path is replaced by that value."""
    for file in sorted((_TEMPLATES / folder).rglob("*.j2")):
        path = file.relative_to(_TEMPLATES / folder).as_posix().removesuffix(".j2")
        for name, value in values.items():
            path = path.replace(f"__{name}__", str(value))
        path = f"{target}/{path}".removeprefix("./")
        if not plan.exists(path):
            template = file.relative_to(_TEMPLATES).as_posix()
            plan.write(path, render(template, plan.style(path), first_party, **values))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - writes Python, not HTML
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(pascal=pascal, kebab=kebab, words=words, with_article=with_article)
    return environment
