"""`domainstream new project` and `domainstream new service`: a system, and a service without events and handlers."""

from pathlib import Path
from typing import Final

from domainstream.channel.channel_name import Services, parse_channel_name, services_violations
from domainstream.tools.check.settings import SETTINGS_FILE, nearest_system
from domainstream.tools.scaffold.edits.contracts import services_of, with_service
from domainstream.tools.scaffold.edits.toml_lists import toml_table, with_toml_item
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.layout import Service, module_of
from domainstream.tools.scaffold.names import kebab, package_problems, snake
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.system import System, create_all

_WORKSPACE: Final = "pyproject.toml"


def plan_project(folder: Path) -> Plan:
    """Return the plan of a project in `folder`; in an existing project, only missing files are made.

    Raises `RefusedError` for a folder of another workspace, or inside of another project.
    """
    plan = Plan(folder.resolve())
    above = nearest_system(plan.root.parent)
    if (above / SETTINGS_FILE).is_file():
        problem = f"it lies in the project {above}, whose commands would include it; choose a folder outside"
        raise RefusedError(f"{plan.root} cannot hold a new project:", [problem])
    if plan.exists(_WORKSPACE) and not plan.exists(SETTINGS_FILE):
        problem = f"{_WORKSPACE} exists without {SETTINGS_FILE}; choose another folder, or move the file away"
        raise RefusedError(f"{plan.root} cannot hold a new project:", [problem])
    create_all(plan, "project", ".", {"contracts"}, {"project": plan.root.name})
    return plan


def plan_service(system: System, typed: str, *, outbox: bool = False) -> None:
    """Plan a service: its package, its queue, and its entry in the services of the channel enum.

    With `outbox`, it stores its events in its database. Raises `RefusedError` for a name that breaks a rule, and for an
    outbox of a service that exists without one.
    """
    service = system.layout.service(snake(typed, "name of the service"))
    is_new = service.name not in system.layout.services()
    if is_new:
        _require_valid(system, service)
    elif outbox and not system.plan.exists(service.outbox):
        fix = "follow docs/how-to/publish-from-a-transaction.md, because its own code has to change"
        raise RefusedError(f"The service {service.name} cannot get an outbox:", [f"it exists without one; {fix}"])
    system.plan.put(with_service(system.plan.source(system.layout.channels), service.name))
    if is_new:
        system.first_party.add(service.name)
        queue = kebab(service.name)
        if queue not in system.values_of(system.queues).values():
            system.add_member(system.queues, service.name.upper(), queue)
        # What both folders have is made from the first one.
        for folder in ["outbox", "service"] if outbox else ["service"]:
            system.create_all(folder, service, mapper_module=module_of(service.mapper))
    _add_to_tools(system, service)


def _require_valid(system: System, service: Service) -> None:
    """Raise `RefusedError` with every reason why no service can have this name."""
    name = service.name
    services = services_of(system.plan.source(system.layout.channels)) or {}
    after = {**services, name: services.get(name, ())}
    problems = [*package_problems(name), *services_violations({name: ()}), *reinterpreted(system, services, after)]
    if name in system.first_party and name not in system.layout.services():
        problems.append(f"{name} is a package that the services share; use another name")
    if (system.layout.root / service.folder).exists():
        problems.append(f"{service.folder} exists without a Python package; use another name, or move the folder away")
    if problems:
        raise RefusedError(f"The service {name} cannot be made:", problems)


def reinterpreted(system: System, before: Services, after: Services) -> list[str]:
    """Return the existing channels whose names would be parsed differently with new services or aggregates."""
    names = system.values_of(system.channels)
    changed = [name for name in names if parse_channel_name(name, before) != parse_channel_name(name, after)]
    readings = ((name, parse_channel_name(name, after)) for name in changed)
    return [
        f"{name} would then be read as {parts.event_name} of aggregate {parts.aggregate} of {parts.service}; "
        "use another name"
        for name, parts in readings
    ]


def _add_to_tools(system: System, service: Service) -> None:
    """Plan the paths of pytest and mypy, where the project's settings list the other packages."""
    if not system.plan.exists(_WORKSPACE):
        return
    text, folder = system.plan.read(_WORKSPACE), f"{service.folder}/src"
    for table, key in ((("tool", "pytest", "ini_options"), "pythonpath"), (("tool", "mypy"), "mypy_path")):
        if isinstance(toml_table(_WORKSPACE, text, table).get(key), list):
            text = with_toml_item(_WORKSPACE, text, key, folder, table=table)
    system.plan.write(_WORKSPACE, text)
