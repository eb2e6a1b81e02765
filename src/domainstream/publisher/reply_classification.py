"""What a failed attempt says about a batch.

==============================  ==========  =========  ================================================
answer                          applied?    again?     because
==============================  ==========  =========  ================================================
no connection                   no          yes        nothing was sent
connection lost, no reply       perhaps     yes        the sequence makes the repeat harmless
LOADING, TRYAGAIN, BUSY, ...    no          yes        the server will be ready in a moment
READONLY                        no          yes        a failover: connect anew, to the new primary
OOM                             no          no         a script is refused before its first write
UNTRIMMED                       yes         yes        the repeat returns the entry ids
HALFADDED                       perhaps     no         a repeat would add entries again
MOVED, ASK                      no          no         a cluster needs a client for clusters
wrong password, WRONGTYPE, ...  no          no         it would fail again
==============================  ==========  =========  ================================================

NOSCRIPT never gets here: the sender answers it with the script's text at once.
"""

from typing import NamedTuple

from redis import exceptions
from redis.exceptions import RedisError

from domainstream.errors import (
    ServerError,
    ServerIsClusterError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.publisher.redis_link import NoReplyError

_SOON_READY = (
    exceptions.BusyLoadingError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
)
_SOON_READY_CODES = ("BUSY ", "NOREPLICAS ")


class Verdict(NamedTuple):
    """What an answer means for a batch."""

    perhaps_applied: bool
    """Whether the server may have added the entries."""

    again: bool
    """Whether to try again before the deadline."""

    reconnect: bool
    """Whether to do so on a new connection."""

    error: ServerError
    """What to tell the caller if it was the last try."""


def verdict_of(answer: RedisError | NoReplyError) -> Verdict:
    """Judge what stands where a reply should."""
    error = answer.cause if isinstance(answer, NoReplyError) else answer
    text = str(error)
    if isinstance(error, _SOON_READY) or text.startswith(_SOON_READY_CODES):
        return _try_again(f"the server is not ready: {text}", perhaps_applied=False)
    if text.startswith("UNTRIMMED "):
        return _try_again(f"the entries were added but the stream cannot be trimmed: {text}", perhaps_applied=True)
    if text.startswith("HALFADDED "):
        why = ServerRefusedError(f"the server refused after it had added entries: {text}")
        return Verdict(perhaps_applied=True, again=False, reconnect=False, error=why)
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.ResponseError):
        return Verdict(perhaps_applied=False, again=False, reconnect=False, error=_refusal(error))
    if isinstance(answer, NoReplyError) and not answer.sent:
        return _try_again(
            f"no connection to the server at {answer.where} ({type(error).__name__}); is it running?",
            perhaps_applied=False,
        )
    return _try_again(f"the connection was lost before the reply came ({type(error).__name__})", perhaps_applied=True)


def _try_again(why: str, *, perhaps_applied: bool) -> Verdict:
    return Verdict(perhaps_applied, again=True, reconnect=True, error=ServerUnavailableError(why))


def _refusal(error: Exception) -> ServerError:
    if isinstance(error, exceptions.OutOfMemoryError):
        return ServerOutOfMemoryError(_OUT_OF_MEMORY)
    if isinstance(error, exceptions.AskError):  # MovedError derives from it
        return ServerIsClusterError(_CLUSTER)
    return ServerRefusedError(f"the server refused: {error}")


_OUT_OF_MEMORY = (
    "the server's memory is full and nothing was added; raise maxmemory or lower Retention(max_length=...): "
    "redis-cli CONFIG SET maxmemory <bytes>"
)
_CLUSTER = "the server is a node of a Redis Cluster, which this client does not support yet; connect to a single server"
