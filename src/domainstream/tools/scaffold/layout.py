"""Where the parts of a system are: the guide's layout, as `domainstream.toml` may change it."""

from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from domainstream.tools.check.settings import SETTINGS_FILE, CheckSettings, read_settings
from domainstream.tools.scaffold.errors import UnknownNameError
from domainstream.tools.scaffold.names import did_you_mean


class Service(NamedTuple):
    """The files of one service, below the project's folder."""

    name: str
    """Its name, in snake case; that of its package."""

    folder: str
    """`services/coding`."""

    package: str
    """`services/coding/src/coding`, the folder of its code."""

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
    """Where its parts are, below it."""

    @property
    def channels(self) -> str:
        """The file with the enum of channels."""
        return self.settings.channels[0]

    @property
    def subscriptions(self) -> str:
        """The file with the subscriptions."""
        return self.settings.subscriptions[0]

    def services(self) -> dict[str, Service]:
        """Return the services that have a package of Python, by name."""
        found = {}
        for pattern in self.settings.services:
            for path in sorted(self.root.glob(f"{pattern}/__init__.py")):
                package = path.parent.relative_to(self.root)
                found[package.name] = _service(package, pattern)
        return found

    def service(self, name: str) -> Service:
        """Return where a service is, or would be."""
        pattern = self.settings.services[0]
        return self.services().get(name) or _service(PurePosixPath(pattern.replace("*", name)), pattern)

    def existing(self, name: str) -> Service:
        """Return where a service is; raise `UnknownNameError` for one that is not there."""
        services = self.services()
        if name not in services:
            hint = did_you_mean(name, services)
            raise UnknownNameError(f"There is no service {name}; {hint} To make it: domainstream new service {name}")
        return services[name]

    def first_party(self) -> set[str]:
        """Return the packages of the system."""
        packages = (path for pattern in self.settings.packages for path in self.root.glob(f"{pattern}/__init__.py"))
        return {*self.services(), *(path.parent.name for path in packages), _package_of(self.channels)}


def find_layout(start: Path) -> Layout:
    """Return the layout of the project that `start` lies in; raise `UnknownNameError` where it lies in none."""
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file() or (folder / CheckSettings().channels[0]).is_file():
            return Layout(folder, read_settings(folder))
    raise UnknownNameError(f"No project was found in {start} or above it. To make one: domainstream new project DIR")


def _service(package: PurePath, pattern: str) -> Service:
    depth = 1 + next(
        (at for at, part in enumerate(PurePosixPath(pattern).parts) if "*" in part), len(package.parts) - 1
    )
    return Service(package.name, PurePosixPath(*package.parts[:depth]).as_posix(), package.as_posix())


def _package_of(path: str) -> str:
    return module_of(path).partition(".")[0]


def module_of(path: str) -> str:
    """Return the dotted name of a file: services/coding/src/coding/bootstrap.py → coding.bootstrap."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :] if "src" in parts else parts)
