"""Where the parts of a system are: `domainstream.toml`, or the guide's layout by default."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Final

from domainstream.errors import ConfigurationError
from domainstream.tools.common.errors import NotFoundError

SETTINGS_FILE: Final = "domainstream.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Where to look. Patterns are relative to the root; `*` matches one folder or a part of its name."""

    channels: tuple[str, ...] = ("packages/contracts/src/contracts/event_publisher_channels.py",)
    """The files with the enums of channels."""

    subscriptions: tuple[str, ...] = ("packages/contracts/src/contracts/subscriptions.py",)
    """The files that call `create_multiple_handlers`."""

    services: tuple[str, ...] = ("services/*/src/*",)
    """The folders of the services' Python packages. A service is called as its folder."""

    packages: tuple[str, ...] = ("packages/*/src/*",)
    """The folders of the Python packages that the services share: what payloads, queues and jobs may name."""

    queues: str = "packages/contracts/src/contracts/bull_mq_queues.py"
    """The file with the enum of queues; `domainstream new` adds to it. `check` follows imports instead."""

    jobs: str = "packages/contracts/src/contracts/bull_mq_jobs.py"
    """The file with the enum of job names, likewise."""

    contracts: str = "contracts"
    """The folder of the snapshots that `domainstream schema snapshot` writes."""

    external_queues: tuple[str, ...] = ()
    """Queues whose worker is not in the services, because it is of another language or repository."""

    external_services: tuple[str, ...] = ()
    """Services that publish to channels of their own from outside of `services`, likewise."""

    retired: tuple[str, ...] = ()
    """Channel names that were in use once and must not be used again."""

    ignore: tuple[str, ...] = ()
    """Codes, or beginnings of codes, of rules that do not apply here."""


_PATHS: Final = frozenset({"channels", "subscriptions", "services", "packages", "queues", "jobs", "contracts"})
_TEXTS: Final = frozenset(field.name for field in fields(CheckSettings) if field.type is str)
_NAMES: Final = tuple(field.name for field in fields(CheckSettings))


def nearest_system(folder: Path) -> Path:
    """Return the folder itself, or else the nearest one above it, that is a system; the folder where none is."""
    for candidate in (folder, *folder.resolve().parents):
        if (candidate / SETTINGS_FILE).is_file() or (candidate / CheckSettings().channels[0]).is_file():
            return candidate
    return folder


def system_at(path: Path | None) -> Path:
    """Return the folder of the system that a command is about: `path`, or for None the nearest one.

    Raises `NotFoundError` for a folder without any part of a system, and without a `domainstream.toml`.
    """
    root = nearest_system(Path()) if path is None else path
    usual = CheckSettings()
    patterns = (SETTINGS_FILE, *usual.channels, *usual.subscriptions, *usual.services, *usual.packages)
    if any(next(root.glob(pattern), None) for pattern in patterns):
        return root
    where = f"in {root.resolve()}" if path else f"in {root.resolve()} or above it"
    above = nearest_system(root)
    instead = f"Run it for {above.resolve()}, or make" if above != root else "Make"
    raise NotFoundError(
        f"There is no project {where}. {instead} one: domainstream new project DIR. For another layout, "
        f"{SETTINGS_FILE} says where the parts are."
    )


def read_settings(root: Path) -> CheckSettings:
    """Return the settings of the system at `root`; the defaults where it has no `domainstream.toml`.

    A list of one may be written as a string. Raises `ConfigurationError` with everything that is wrong in the file.
    """
    path = root / SETTINGS_FILE
    if not path.is_file():
        return CheckSettings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be used:", [f"it is not TOML: {error}"]) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be used:", [f"it cannot be read: {error.strerror}"]) from error
    problems = [problem for name, value in table.items() for problem in _problems(name, value)]
    if problems:
        raise ConfigurationError(f"{path} cannot be used:", problems)
    values: dict[str, Any] = {name: given if name in _TEXTS else tuple(_listed(given)) for name, given in table.items()}
    return CheckSettings(**values)


def _problems(name: str, value: object) -> Iterator[str]:
    if name not in _NAMES:
        yield f"unknown setting {name!r}; the settings are: {', '.join(_NAMES)}"
    elif name in _TEXTS and not isinstance(value, str):
        yield f'{name} must be a string; use {name} = "..."'
    elif not all(isinstance(each, str) for each in _listed(value)):
        yield f'{name} must be a list of strings; use {name} = ["..."]'
    elif name in _PATHS:
        for pattern in _listed(value):
            parts = PurePosixPath(pattern).parts
            if not parts or parts[0] in {"/", "~"} or ".." in parts or "\0" in pattern or "\\" in pattern:
                yield f"{name}: {pattern!r} must be a path below this folder"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
