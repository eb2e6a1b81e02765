"""What a failed attempt says about a batch: may the server have applied it, and is it worth another attempt?

What is worth repeating is said by the table of `domainstream.redis.errors`; this one adds what a batch needs to know.

======================================  ============  =========  ================================================
reply                                   applied?      repeated?  because
======================================  ============  =========  ================================================
no connection                           no            yes        nothing was sent
connection lost before the reply        maybe         yes        the sequence makes the repeat harmless
transient (LOADING, MISCONF, ...)       no            yes        a script is rejected before its first write
UNTRIMMED                               yes           yes        the repeat returns the entry ids
HALFADDED                               maybe         no         a repeat would add entries again
moved (MOVED, ASK)                      no            no         a cluster needs a client for clusters
final (OOM, WRONGTYPE, NOPERM, ...)     no            no         it would fail in the same way
======================================  ============  =========  ================================================

NOSCRIPT never gets here: the link answers it with the script's text at once.
"""

from typing import NamedTuple

from redis.exceptions import RedisError

from domainstream.errors import ServerError, ServerRefusedError, ServerUnavailableError
from domainstream.redis.errors import ErrorKind, NoReplyError, kind_of, server_error


class AttemptFailure(NamedTuple):
    """What the failure of an attempt means for its batch."""

    maybe_applied: bool
    """Whether the server may have added the entries."""

    repeatable: bool
    """Whether to repeat the attempt, on a new connection, before the deadline."""

    error: ServerError
    """What to report if it was the last attempt."""


def classify(reply: RedisError | NoReplyError, place: str) -> AttemptFailure:
    """Classify what came instead of entry ids; `place` is the server, as `host:port`."""
    text = str(reply)
    if text.startswith("UNTRIMMED "):
        error = ServerUnavailableError(f"the entries were added but the stream cannot be trimmed: {text}")
        return AttemptFailure(maybe_applied=True, repeatable=True, error=error)
    if text.startswith("HALFADDED "):
        refused = ServerRefusedError(f"the server failed after it had added entries: {text}")
        return AttemptFailure(maybe_applied=True, repeatable=False, error=refused)
    no_reply_to_the_script = isinstance(reply, NoReplyError) and reply.sent
    return AttemptFailure(
        maybe_applied=no_reply_to_the_script,
        repeatable=kind_of(reply) is ErrorKind.TRANSIENT,
        error=server_error(reply, place),
    )
