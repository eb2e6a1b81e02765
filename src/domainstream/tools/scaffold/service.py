"""`domainstream new service`: a service without events and handlers yet."""

from domainstream.channel.channel_name import Services, parse_channel_name, services_violations
from domainstream.tools.scaffold.edits.channels import services_of, with_service
from domainstream.tools.scaffold.edits.toml_lists import with_toml_item
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.layout import Service, module_of
from domainstream.tools.scaffold.names import kebab, package_problems, snake
from domainstream.tools.scaffold.system import System

_ROOT_PROJECT = "pyproject.toml"


def plan_service(system: System, typed: str) -> None:
    """Plan a service: its package, its queue, its place among the services of the channels.

    Raises `RefusedError` for a name that breaks a rule.
    """
    service = system.layout.service(snake(typed, "name of the service"))
    is_new = service.name not in system.layout.services()
    if is_new:
        refuse_service(system, service)
    system.plan.put(with_service(system.plan.source(system.layout.channels), service.name))
    if is_new:
        _plan_package(system, service)
    _add_to_tools(system, service)


def _plan_package(system: System, service: Service) -> None:
    system.first_party.add(service.name)
    if kebab(service.name) not in system.values_of(system.queues).values():
        system.add_member(system.queues, service.name.upper(), kebab(service.name))
    system.create_all("service", service, mapper_module=module_of(service.mapper))


def refuse_service(system: System, service: Service) -> None:
    """Raise `RefusedError` when no service can have this name."""
    name = service.name
    services = services_of(system.plan.source(system.layout.channels)) or {}
    after = {**services, name: services.get(name, ())}
    problems = [*package_problems(name), *services_violations({name: ()}), *retold(system, services, after)]
    if name in system.first_party and name not in system.layout.services():
        problems.append(f"{name} is a package that the services share; type another name")
    if (system.layout.root / service.folder).exists():
        problems.append(f"{service.folder} is there, and has no package of Python; type another name, or move it away")
    if problems:
        raise RefusedError(f"The service {name} cannot be made:", problems)


def retold(system: System, before: Services, after: Services) -> list[str]:
    """Return what new services or aggregates would make of the names of channels that are there."""
    names = system.values_of(system.channels)
    changed = [name for name in names if parse_channel_name(name, before) != parse_channel_name(name, after)]
    return [f"{name} would then be read as {_told(name, after)}; type another name" for name in changed]


def _told(name: str, services: Services) -> str:
    parts = parse_channel_name(name, services)
    return f"{parts.event_name} of aggregate {parts.aggregate} of {parts.service}"


def _add_to_tools(system: System, service: Service) -> None:
    """Let pytest and mypy find the package, where the project's settings list the others."""
    if not system.plan.exists(_ROOT_PROJECT):
        return
    text, folder = system.plan.read(_ROOT_PROJECT), f"{service.folder}/src"
    for table, key in ((("tool", "pytest", "ini_options"), "pythonpath"), (("tool", "mypy"), "mypy_path")):
        if f"{key} = [" in text:
            text = with_toml_item(_ROOT_PROJECT, text, key, folder, table=table)
    system.plan.write(_ROOT_PROJECT, text)
