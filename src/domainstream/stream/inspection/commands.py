"""Probes which commands a server has and a user may run, without changing any data."""

from collections.abc import Collection, Sequence
from secrets import token_hex
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key

PUBLISHER, SUBSCRIBER, OPERATOR = "publisher", "subscriber", "operator"
ROLES: Final = (PUBLISHER, SUBSCRIBER, OPERATOR)

_ALL: Final = frozenset(ROLES)
_CONSUMING: Final = frozenset({SUBSCRIBER, OPERATOR})
_PUBLISHER: Final = frozenset({PUBLISHER})
_SUBSCRIBER: Final = frozenset({SUBSCRIBER})
_OPERATOR: Final = frozenset({OPERATOR})
_KEY: Final = "KEY"

# `KEY` stands for a key that does not exist, and none of these commands creates it.
_PROBES: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("xadd", f"XADD {_KEY} NOMKSTREAM * data 1", _ALL),
    ("xtrim", f"XTRIM {_KEY} MINID = 0", _ALL),
    ("xrange", f"XRANGE {_KEY} - + COUNT 1", _ALL),
    ("xpending", f"XPENDING {_KEY} doctor", _ALL),
    ("xinfo|groups", f"XINFO GROUPS {_KEY}", _ALL),
    ("time", "TIME", _ALL),
    ("eval", "EVAL return(1) 0", _ALL),
    ("evalsha", "EVALSHA 0000000000000000000000000000000000000000 0", _ALL),
    ("client|setname", "CLIENT SETNAME domainstream-doctor", _PUBLISHER),
    ("get", f"GET {_KEY}", _ALL),
    ("set", f"SET {_KEY} 1 XX PX 1", _ALL),
    ("exists", f"EXISTS {_KEY}", _CONSUMING),
    ("script|load", "SCRIPT LOAD return(1)", _CONSUMING),
    ("xinfo|stream", f"XINFO STREAM {_KEY}", _CONSUMING),
    ("xinfo|consumers", f"XINFO CONSUMERS {_KEY} doctor", _CONSUMING),
    ("info", "INFO server", _CONSUMING),
    ("del", f"DEL {_KEY}", _CONSUMING),
    ("xgroup|create", f"XGROUP CREATE {_KEY} doctor 0", _SUBSCRIBER),
    ("xgroup|setid", f"XGROUP SETID {_KEY} doctor 0", _SUBSCRIBER),
    ("xgroup|delconsumer", f"XGROUP DELCONSUMER {_KEY} doctor none", _SUBSCRIBER),
    ("xreadgroup", f"XREADGROUP GROUP doctor one COUNT 1 STREAMS {_KEY} >", _SUBSCRIBER),
    ("xautoclaim", f"XAUTOCLAIM {_KEY} doctor one 0 0", _SUBSCRIBER),
    ("xack", f"XACK {_KEY} doctor 0-1", _SUBSCRIBER),
    ("scan", "SCAN 0 COUNT 1", _OPERATOR),
    ("xread", f"XREAD COUNT 1 STREAMS {_KEY} 0", _OPERATOR),
    ("xrevrange", f"XREVRANGE {_KEY} + - COUNT 1", _OPERATOR),
    ("xdel", f"XDEL {_KEY} 0-1", _OPERATOR),
    ("memory|usage", f"MEMORY USAGE {_KEY}", _OPERATOR),
    ("llen", f"LLEN {_KEY}", _OPERATOR),
    ("lrange", f"LRANGE {_KEY} 0 0", _OPERATOR),
    ("zcard", f"ZCARD {_KEY}", _OPERATOR),
    ("zrange", f"ZRANGE {_KEY} 0 0", _OPERATOR),
    ("hmget", f"HMGET {_KEY} data", _OPERATOR),
    ("hexists", f"HEXISTS {_KEY} paused", _OPERATOR),
    ("lpos", f"LPOS {_KEY} 1", _OPERATOR),
    ("zscore", f"ZSCORE {_KEY} 1", _OPERATOR),
    ("zmscore", f"ZMSCORE {_KEY} 1", _OPERATOR),
    ("xgroup|destroy", f"XGROUP DESTROY {_KEY} doctor", _OPERATOR),
)

_IN_SCRIPTS: Final = (
    *(
        "hdel",
        "hget",
        "hgetall",
        "hmset",
        "hset",
        "incr",
        "lindex",
        "lpop",
        "lpush",
        "lrem",
        "persist",
        "pttl",
        "rpush",
    ),
    *("sadd", "scard", "smembers", "srem", "zadd", "zrem", "zrevrangebyscore"),
)
"""What BullMQ's scripts call besides, to add, retry and remove jobs: an operator needs it."""

# Asks the server instead of trying, since some of these commands would create the key.
_MAY_CALL: Final = """
if redis.acl_check_cmd(ARGV[1], KEYS[1]) then return 1 end
return redis.error_reply('NOPERM no permissions to run ' .. ARGV[1])
"""


def needed_by(role: str) -> list[str]:
    """Return the commands that a role runs, as ACLs name them; the queues of a subscriber need more."""
    return [*(name for name, _, roles in _PROBES if role in roles), *(_IN_SCRIPTS if role == OPERATOR else ())]


class CommandProbeResult(Struct, frozen=True, kw_only=True):
    """What a probe found."""

    missing: tuple[str, ...]
    """Commands that the server does not have, as ACLs name them."""

    forbidden: tuple[str, ...]
    """Commands that the user may not run, though one of the roles needs them."""

    closed_key: str
    """The key that the user may not touch, so that the rest could not be probed; empty when all could."""


class RedisCommandProbe:
    """Runs each command on a key that does not exist.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis, *, prefix: str = "") -> None:
        """Probe through `client`, which the caller closes; the key begins with `prefix`."""
        self._client: Any = client
        # No channel has such a name, so it cannot be mistaken for one.
        self._key = stream_key(f"domainstream-doctor:{token_hex(8)}", prefix)

    async def probe(self, roles: Collection[str] = ROLES) -> CommandProbeResult:
        """Probe everything that one of the roles needs."""
        wanted = [(name, words) for name, words, needed_by in _PROBES if needed_by.intersection(roles)]
        problems = {name: await self._problem(words.split()) for name, words in wanted}
        if OPERATOR in roles and not problems["eval"]:
            for name in _IN_SCRIPTS:
                problems[name] = await self._problem(["EVAL", _MAY_CALL, "1", _KEY, name])
        denied = {name: problem for name, problem in problems.items() if problem.startswith("NOPERM")}
        closed = [name for name, problem in denied.items() if "permissions to run" not in problem]
        return CommandProbeResult(
            missing=tuple(name for name, problem in problems.items() if "unknown" in problem),
            forbidden=tuple(name for name in denied if name not in closed),
            closed_key=self._key if closed else "",
        )

    async def _problem(self, words: Sequence[str]) -> str:
        """Run a command and return why it was rejected; empty when it was not."""
        command = [self._key if word == _KEY else word for word in words]
        with translated_errors(self._client):
            try:
                await self._client.execute_command(*command)
            except NoPermissionError as error:
                return f"NOPERM {error}"
            except ResponseError as error:
                return str(error)
        return ""
