"""A finding of the doctor."""

import shlex
from typing import Final, Literal

import msgspec
from msgspec import Struct

from domainstream.redis.topology import Address

Status = Literal["ok", "warning", "problem"]

REDIS_CLI: Final = 'redis-cli -u "$REDIS_URL"'
"""The beginning of commands that go to the diagnosed server."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """The result of one check."""

    check: str
    """What was checked."""

    status: Status
    """`ok`, `problem`, or `warning` for what may be intended."""

    words: str
    """What was found, and why it matters."""

    fix: str = msgspec.field(default="", name="mend")
    """The command that fixes it; empty if there is nothing to fix."""

    node: str = ""
    """The node of a cluster that it is about, as `host:port`; empty for all of them, and for a single server."""


def ok(check: str, words: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, "ok", words)


def warning(check: str, words: str, fix: str) -> Finding:
    """Return a finding that may be intended, with the command that changes it."""
    return Finding(check, "warning", words, fix)


def problem(check: str, words: str, fix: str) -> Finding:
    """Return a problem, with the command that fixes it."""
    return Finding(check, "problem", words, fix)


def redis_cli(*words: str) -> str:
    """Return a command for the server, quoted for a shell."""
    return f"{REDIS_CLI} {shlex.join(words)}"


def redis_cli_at(address: Address) -> str:
    """Return the beginning of commands that go to one server of several."""
    return f"redis-cli -h {address.host} -p {address.port}"


def redis_cli_at_each(address: Address) -> str:
    """Return the beginning of commands that go to each node of a cluster, of which `address` is one."""
    return f"redis-cli --cluster call {address}"


def command(*words: str) -> str:
    """Return a command of `domainstream`, quoted for a shell."""
    return f"domainstream {shlex.join(words)}"
