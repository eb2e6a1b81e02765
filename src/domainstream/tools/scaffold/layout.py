"""Where the parts of a system are: where `check` found them, else where the guide and `domainstream.toml` put them."""

from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from domainstream.tools.check.model.project import Project
from domainstream.tools.check.settings import SETTINGS_FILE, CheckSettings, read_settings
from domainstream.tools.scaffold.errors import UnknownNameError
from domainstream.tools.scaffold.names import near_or_known, pascal


class Service(NamedTuple):
    """The paths of one service, relative to the project's folder."""

    name: str
    """Its name in snake case, which is the name of its package."""

    folder: str
    """Its folder: `services/coding`."""

    package: str
    """The folder of its code: `services/coding/src/coding`."""

    @property
    def union(self) -> str:
        """The file with the union of its events."""
        return f"{self.package}/domain_layer/{self.name}_domain_event.py"

    @property
    def mapper(self) -> str:
        """The file with its mapper."""
        events = f"{self.package}/infrastructure_layer/events"
        return f"{events}/{self.name}_event_producer/{self.name}_event_producer_mapper.py"

    @property
    def outbox(self) -> str:
        """The file with its outbox, if it has one."""
        return f"{self.package}/infrastructure_layer/events/{self.name}_outbox.py"

    @property
    def database(self) -> str:
        """The file that opens its database, if it has an outbox."""
        return f"{self.package}/infrastructure_layer/persistence/database.py"

    @property
    def consumers(self) -> str:
        """The folder of its consumers."""
        return f"{self.package}/infrastructure_layer/consumers"

    def aggregate(self, aggregate: str) -> str:
        """Return the folder of an aggregate."""
        return f"{self.package}/domain_layer/{aggregate}"

    def events(self, aggregate: str) -> str:
        """Return the file with the events of an aggregate."""
        return f"{self.aggregate(aggregate)}/{aggregate}_events.py"


class Layout(NamedTuple):
    """The files of a system."""

    root: Path
    """The project's folder."""

    settings: CheckSettings
    """Where its parts are, relative to the folder."""

    @property
    def channels(self) -> str:
        """The file with the enum of channels."""
        return self.settings.channels[0]

    @property
    def subscriptions(self) -> str:
        """The file with the subscriptions."""
        return self.settings.subscriptions[0]

    def services(self) -> dict[str, Service]:
        """Return the services that have a Python package, by name."""
        services = {}
        for pattern in self.settings.services:
            for path in sorted(self.root.glob(f"{pattern}/__init__.py")):
                package = path.parent.relative_to(self.root)
                services[package.name] = _service(package, pattern)
        return services

    def service(self, name: str) -> Service:
        """Return where a service is, or would be."""
        pattern = self.settings.services[0]
        return self.services().get(name) or _service(PurePosixPath(pattern.replace("*", name)), pattern)

    def existing(self, name: str) -> Service:
        """Return where a service is; raise `UnknownNameError` for one that does not exist."""
        services = self.services()
        if name not in services:
            hint = near_or_known(name, services)
            raise UnknownNameError(f"There is no service {name}.{hint} To make it: domainstream new service {name}")
        return services[name]

    def first_party(self) -> set[str]:
        """Return the names of the system's own packages."""
        packages = (path for pattern in self.settings.packages for path in self.root.glob(f"{pattern}/__init__.py"))
        return {*self.services(), *(path.parent.name for path in packages), module_of(self.channels).partition(".")[0]}


def find_layout(start: Path) -> Layout:
    """Return the layout of the project around `start`; raise `UnknownNameError` outside of a project."""
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file() or (folder / CheckSettings().channels[0]).is_file():
            return Layout(folder, read_settings(folder))
    raise UnknownNameError(f"No project was found in {start} or above it. To make one: domainstream new project DIR")


def _service(package: PurePath, pattern: str) -> Service:
    depth = 1 + next(
        (at for at, part in enumerate(PurePosixPath(pattern).parts) if "*" in part), len(package.parts) - 1
    )
    return Service(package.name, PurePosixPath(*package.parts[:depth]).as_posix(), package.as_posix())


def module_of(path: str) -> str:
    """Return the dotted module name of a file: services/coding/src/coding/bootstrap.py → coding.bootstrap."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :] if "src" in parts else parts)


class ServiceFiles(NamedTuple):
    """The files of a service that an event changes."""

    union: str
    """The file with the union of all events."""

    union_name: str
    """The union's name."""

    mapper: str
    """The file with the mapper."""

    mapper_name: str
    """The mapper's function; empty where `check` found none."""


def service_files(project: Project, service: Service) -> ServiceFiles:
    """Return where a service's union and mapper are: where `check` found them, else where the guide puts them."""
    mapper, mapper_name = next(
        ((mapper.location.path, mapper.name) for mapper in project.mappers if mapper.service == service.name),
        (service.mapper, ""),
    )
    unions = [union for union in project.unions if union.service == service.name]
    # A service may have smaller unions, too; the largest is the one of all its events.
    whole = max(unions, key=lambda union: len(union.events), default=None)
    if whole is None:
        return ServiceFiles(service.union, f"{pascal(service.name)}DomainEvent", mapper, mapper_name)
    return ServiceFiles(whole.location.path, whole.symbol.rpartition(".")[2], mapper, mapper_name)


def events_file(project: Project, service: Service, aggregate: str) -> str:
    """Return the file with the events of an aggregate."""
    paths = (
        event.location.path for event in project.events if (event.service, event.aggregate) == (service.name, aggregate)
    )
    return next(paths, service.events(aggregate))
