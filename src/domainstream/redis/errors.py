"""What a server's errors mean: one table, for publisher, subscriber and worker alike, and for their Lua scripts.

=============================================================  =========  =============================================
error                                                          kind       because
=============================================================  =========  =============================================
LOADING                                                        transient  the server is reading its data from disk
BUSY                                                           transient  a script runs longer than the server allows
READONLY, MASTERDOWN                                           transient  a failover: the next connection reaches the
                                                                          new primary
CLUSTERDOWN, TRYAGAIN                                          transient  a cluster elects a primary or moves a slot
NOREPLICAS                                                     transient  too few replicas are connected for writes
UNBLOCKED                                                      transient  a command that blocks was interrupted: its key
                                                                          vanished, or the server became a replica
MISCONF                                                        transient  the disk is full or broken: writes are
                                                                          rejected until a snapshot succeeds
no connection, no reply                                        transient  the server is down, or the network is
MOVED, ASK                                                     moved      the key belongs to another node of a cluster
OOM, WRONGTYPE, NOPERM, NOAUTH, WRONGPASS, everything else     final      the same command would fail in the same way
=============================================================  =========  =============================================

A transient error is worth repeating, on a new connection. OOM is final for the command, but has an error class of its
own: a publisher reports it at once, a subscriber waits until the queues have been drained.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

from redis import exceptions
from redis.exceptions import RedisError

from domainstream.errors import (
    ServerError,
    ServerIsClusterError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.text import described


class ErrorKind(Enum):
    """What repeating a command that failed would bring."""

    TRANSIENT = "transient"
    """It may succeed, on a new connection."""

    MOVED = "moved"
    """It succeeds at another node of the cluster."""

    FINAL = "final"
    """It would fail in the same way."""


TRANSIENT_CODES: Final = frozenset(
    {"LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "UNBLOCKED"}
)
"""Errors of a server that will be ready in a while."""

SERVER_CODES: Final = TRANSIENT_CODES | {"OOM"}
"""Errors that say something about the server, not about the command: a script must pass them on as they are."""

_CODES: Final[dict[type[RedisError], str]] = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
}
"""redis-py takes these codes out of the message."""

REPLY_ERRORS: Final = (
    exceptions.ResponseError,
    exceptions.BusyLoadingError,
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
)
"""Errors that are a server's reply: redis-py takes the last three for failures of the connection."""

_OUT_OF_MEMORY = (
    "the server's memory is full and the command was not run; find what fills it with `domainstream doctor` "
    "(unread streams, dead groups, failed jobs), let it drain, or run: redis-cli CONFIG SET maxmemory <bytes>"
)
_CLUSTER = "the server is a node of a Redis Cluster; use the URL redis+cluster://host:port,host:port"


class NoReplyError(Exception):
    """A command got no reply: nothing was sent, or the connection was lost before the reply came."""

    def __init__(self, cause: Exception, *, sent: bool, place: str = "") -> None:
        self.cause = cause
        """What went wrong."""
        self.sent = sent
        """Whether the command may have reached the server."""
        self.place = place
        """The server, as `host:port`; empty if it does not matter which one it was."""
        super().__init__(str(cause))


def code_of(error: Exception) -> str:
    """Return the code that the server's error begins with, as `WRONGTYPE`; empty for what is not a server's error."""
    if not isinstance(error, REPLY_ERRORS):
        return ""
    code = _CODES.get(type(error)) or str(error).partition(" ")[0]
    return code if code.isupper() else ""


def kind_of(error: Exception) -> ErrorKind:
    """Return what repeating the command would bring."""
    if isinstance(error, NoReplyError):  # the handshake may have been rejected
        error = error.cause
    if not isinstance(error, REPLY_ERRORS):
        return ErrorKind.TRANSIENT
    code = code_of(error)
    if code in ("MOVED", "ASK"):
        return ErrorKind.MOVED
    return ErrorKind.TRANSIENT if code in TRANSIENT_CODES else ErrorKind.FINAL


def server_error(error: Exception, place: str) -> ServerError:
    """Return what an error of redis-py means to us; `place` is the server, unless the error names it."""
    if isinstance(error, NoReplyError):
        place = error.place or place
    if isinstance(error, NoReplyError) and not isinstance(error.cause, REPLY_ERRORS):
        cause = described(error.cause)
        lost = f"the connection to {place} was lost before the reply: {cause}"
        missing = f"no connection to the server at {place}: {cause.rstrip('.')}; is it running, and is the URL right?"
        return ServerUnavailableError(lost if error.sent else missing)
    error = error.cause if isinstance(error, NoReplyError) else error  # a handshake that the server rejected
    kind = kind_of(error)
    if kind is ErrorKind.MOVED:
        return ServerIsClusterError(_CLUSTER)
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return ServerRefusedError(f"the server at {place} rejected the user or the password; correct the URL")
    if isinstance(error, exceptions.OutOfMemoryError):
        return ServerOutOfMemoryError(_OUT_OF_MEMORY)
    if kind is ErrorKind.FINAL:
        return ServerRefusedError(f"the server rejected the command: {error}")
    code = code_of(error)
    problem = (
        f"is not ready: {code} {str(error).removeprefix(code).strip()}"
        if code
        else f"does not answer: {described(error)}"
    )
    return ServerUnavailableError(f"the server at {place} {problem}")


@contextmanager
def translated_errors(client: Any) -> Iterator[None]:
    """Turn what redis-py raises for `client` into `ServerError`s, without causes, which may quote what was sent."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise server_error(error, place_of(client.connection_pool)) from None


def place_of(pool: Any) -> str:
    """Return where a pool of redis-py connects, as `RedisTopology.place` does."""
    known = pool.connection_kwargs
    if "lookup" in known:
        return str(known["lookup"].place)
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")
