"""A project that is being changed: its plan, its layout, and how its shared names are written."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.scaffold.edits.channels import channel_enum
from domainstream.tools.scaffold.edits.enums import members, with_member
from domainstream.tools.scaffold.edits.imports import with_import
from domainstream.tools.scaffold.layout import Layout, Service, find_layout, module_of
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.rendering import create_all, render
from domainstream.tools.scaffold.source import Source, dotted


class Shared(NamedTuple):
    """An enum that all services share."""

    path: str
    """Its file."""

    name: str
    """Its class."""

    @property
    def module(self) -> str:
        """The dotted name of its file."""
        return module_of(self.path)

    @property
    def place(self) -> str:
        """What to import, as `module:name`."""
        return f"{self.module}:{self.name}"


class System:
    """A project that is being changed."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        """Where its parts are."""
        self.plan = Plan(layout.root)
        """What is to change."""

    @classmethod
    def around(cls, folder: Path) -> "System":
        """Return the project that a folder lies in; raise `UnknownNameError` where it lies in none."""
        return cls(find_layout(folder.resolve()))

    @cached_property
    def first_party(self) -> set[str]:
        """The packages of the project, also those that are new."""
        return self.layout.first_party()

    @cached_property
    def project(self) -> Project:
        """The system as `check` reads it, before anything changes."""
        return read_project(self.layout.root)

    @cached_property
    def channels(self) -> Shared:
        """The enum of channels."""
        source = self.plan.source(self.layout.channels)
        return Shared(source.path, channel_enum(source).name.value)

    @cached_property
    def queues(self) -> Shared:
        """The enum of queues."""
        return self._text_enum(self.layout.settings.queues)

    @cached_property
    def jobs(self) -> Shared:
        """The enum of jobs."""
        return self._text_enum(self.layout.settings.jobs)

    def values_of(self, shared: Shared) -> dict[str, str]:
        """Return the members of a shared enum and their values."""
        source = self.plan.source(shared.path)
        found = [one for one in source.classes() if one.name.value == shared.name]
        return members(found[0])

    def add_member(self, shared: Shared, name: str, value: str) -> None:
        """Let a shared enum have a member."""
        source = self.plan.source(shared.path)
        enum = next(one for one in source.classes() if one.name.value == shared.name)
        self.plan.put(with_member(source, enum, name, value))

    def member(self, shared: Shared, value: str) -> str:
        """Return how the member of a value is written; a new one where no member has it."""
        known = {each: name for name, each in self.values_of(shared).items()}
        return f"{shared.name}.{known.get(value, value.replace('-', '_').upper())}"

    def add_imports(self, source: Source, wanted: Iterable[str]) -> Source:
        """Return a source with imports, given as `module:name`."""
        first_party = self.first_party.union(self.plan.style(source.path).first_party)
        for one in wanted:
            source = with_import(source, one, first_party)
        return source

    def render(self, template: str, path: str, **values: Any) -> str:
        """Return the text of a template for a file."""
        return render(template, self.plan.style(path), self.first_party, **values, **self._shared())

    def create(self, template: str, path: str, **values: Any) -> None:
        """Let a file be there, from a template."""
        if not self.plan.exists(path):
            self.plan.write(path, self.render(template, path, **values))

    def create_all(self, folder: str, service: Service, **values: Any) -> None:
        """Let every file of a folder of templates be there for a service."""
        values = {**values, **self._shared(), "service": service.name}
        create_all(self.plan, folder, service.folder, self.first_party, values)

    def _shared(self) -> dict[str, str]:
        named = {"channels": self.channels, "queues": self.queues, "jobs": self.jobs}
        modules = {f"{name}_module": shared.module for name, shared in named.items()}
        enums = {f"{name}_enum": shared.name for name, shared in named.items()}
        return {**modules, **enums, "subscriptions_module": module_of(self.layout.subscriptions)}

    def _text_enum(self, path: str) -> Shared:
        source = self.plan.source(path)
        for one in source.classes():
            if _derives(one.bases, ("StrEnum", "Enum")):
                return Shared(path, one.name.value)
        raise source.cannot_edit("there is no enum", "class BullMqQueues(StrEnum): ...")


def _derives(bases: Sequence[Any], names: tuple[str, ...]) -> bool:
    return any(dotted(base.value).endswith(names) for base in bases)
