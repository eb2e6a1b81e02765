"""Probes which commands a server has and a user may run, without changing any data."""

from collections.abc import Collection, Sequence
from secrets import token_hex
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import MovedError, NoPermissionError, ResponseError

from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address, TopologyKind

PUBLISHER, SUBSCRIBER, OPERATOR = "publisher", "subscriber", "operator"
JOB_ADDER, WORKER = "job-adder", "worker"
ROLES: Final = (PUBLISHER, SUBSCRIBER, JOB_ADDER, WORKER, OPERATOR)
"""What users are for. A subscriber is a job adder too, on the server of its queues."""

_ANY: Final = frozenset(ROLES)
_ALL: Final = frozenset({PUBLISHER, SUBSCRIBER, OPERATOR})
_OF_QUEUES: Final = frozenset({JOB_ADDER, WORKER})
_CONSUMING: Final = frozenset({SUBSCRIBER, OPERATOR})
_SUBSCRIBER: Final = frozenset({SUBSCRIBER})
_OPERATOR: Final = frozenset({OPERATOR})
_WAITING: Final = frozenset({PUBLISHER, SUBSCRIBER, JOB_ADDER})
_KEY: Final = "KEY"

KEYS_TRIED: Final = 1000
"""So many random keys lie on every node of a cluster that has a share of the slots worth mentioning."""

# `KEY` stands for a key that does not exist, and none of these commands creates it.
_PROBES: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("xadd", f"XADD {_KEY} NOMKSTREAM * data 1", _ALL),
    ("xtrim", f"XTRIM {_KEY} MINID = 0", _ALL),
    ("xrange", f"XRANGE {_KEY} - + COUNT 1", _ALL),
    ("xpending", f"XPENDING {_KEY} doctor", _ALL),
    ("xlen", f"XLEN {_KEY}", _SUBSCRIBER),
    ("xinfo|groups", f"XINFO GROUPS {_KEY}", _ALL),
    ("time", "TIME", _ALL),
    ("ping", "PING", _ANY),
    ("eval", "EVAL return(1) 0", _ANY),
    ("evalsha", "EVALSHA 0000000000000000000000000000000000000000 0", _ANY),
    ("client|setname", "CLIENT SETNAME domainstream-doctor", frozenset({PUBLISHER, WORKER})),
    ("client|id", "CLIENT ID", _SUBSCRIBER),
    ("client|tracking", "CLIENT TRACKING OFF", _SUBSCRIBER),
    ("get", f"GET {_KEY}", _ALL),
    ("set", f"SET {_KEY} 1 XX PX 1", _ALL),
    ("exists", f"EXISTS {_KEY}", _CONSUMING),
    ("script|load", "SCRIPT LOAD return(1)", _OPERATOR),
    ("xinfo|stream", f"XINFO STREAM {_KEY}", _CONSUMING),
    ("xinfo|consumers", f"XINFO CONSUMERS {_KEY} doctor", _CONSUMING),
    ("info", "INFO server", _CONSUMING),
    ("del", f"DEL {_KEY}", _CONSUMING),
    ("type", f"TYPE {_KEY}", _OPERATOR),
    ("xgroup|create", f"XGROUP CREATE {_KEY} doctor 0", _CONSUMING),
    ("xgroup|setid", f"XGROUP SETID {_KEY} doctor 0", _SUBSCRIBER),
    ("xreadgroup", f"XREADGROUP GROUP doctor one COUNT 1 STREAMS {_KEY} >", _SUBSCRIBER),
    ("xclaim", f"XCLAIM {_KEY} doctor one 0 0-1", _SUBSCRIBER),
    ("hdel", f"HDEL {_KEY} none", _SUBSCRIBER),
    ("hget", f"HGET {_KEY} none", _SUBSCRIBER),
    ("hgetall", f"HGETALL {_KEY}", _SUBSCRIBER),
    ("pexpire", f"PEXPIRE {_KEY} 1", frozenset({PUBLISHER, SUBSCRIBER})),
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
    ("zscan", f"ZSCAN {_KEY} 0", _OPERATOR),
    ("sismember", f"SISMEMBER {_KEY} 1", _OPERATOR),
    ("smembers", f"SMEMBERS {_KEY}", _OPERATOR),
    ("hmget", f"HMGET {_KEY} data", _CONSUMING),
    ("hexists", f"HEXISTS {_KEY} paused", _OPERATOR),
    ("lpos", f"LPOS {_KEY} 1", _OPERATOR),
    ("zscore", f"ZSCORE {_KEY} 1", _OPERATOR),
    ("zmscore", f"ZMSCORE {_KEY} 1", _OPERATOR),
    ("xgroup|destroy", f"XGROUP DESTROY {_KEY} doctor", _OPERATOR),
)

_CLUSTER_PROBES: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("cluster|info", "CLUSTER INFO", _ANY),
    ("cluster|slots", "CLUSTER SLOTS", _ANY),
    ("asking", "ASKING", _ANY),
    ("cluster|nodes", "CLUSTER NODES", _WAITING),
    ("wait", "WAIT 0 1", _WAITING),
)
"""What clients of a cluster run besides; the last two are for those that wait for replicas."""

_SENTINEL_PROBES: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("role", "ROLE", _ANY),
    ("wait", "WAIT 0 1", _WAITING),
)
"""What clients of the primary that sentinels name run besides; the last is for those that wait for replicas."""

_ADDING: Final = (
    *("del", "exists", "get", "hdel", "hget", "hmget", "hmset", "hset", "incr", "llen", "lpos", "lpush", "lrange"),
    *("lrem", "persist", "pttl", "rpush", "sadd", "scard", "set", "xadd", "zadd", "zrange", "zrem"),
    *("zrevrangebyscore", "zscore"),
)
"""What the scripts that add jobs call."""

_IN_ORDER: Final = ("lindex", "linsert", "lpop", "rpop", "sismember", "smembers", "srem", "zrangebyscore")
"""What they call besides for jobs that are handled in order."""

_INDEX: Final = ("append", "lindex", "lpop", "rpush")
"""What adds to the index of a stream."""

_ASKED: Final = {
    PUBLISHER: _INDEX,
    SUBSCRIBER: (
        *("lindex", "lpop"),  # the index of a stream, which is trimmed with it
        *("hset", "multi", "exec", "subscribe"),
        *("zadd", "zrange", "zrangebyscore", "zrem", "zremrangebyscore"),  # the members of a group
    ),
    JOB_ADDER: (*_ADDING, *_IN_ORDER),
    WORKER: (
        *_ADDING,
        *("bzpopmin", "hexists", "hgetall", "hincrby", "ltrim", "pexpire", "rpoplpush", "smembers", "srem", "xtrim"),
        *("zcard", "zpopmin", "zrangebyscore", "zremrangebyrank", "zremrangebyscore", "zrevrange"),
    ),
    OPERATOR: (
        *("hdel", "hget", "hgetall", "hmset", "hset", "incr", "lindex", "linsert", "lpop", "lpush", "lrem", "persist"),
        *("pttl", "rpop", "rpush", "sadd", "scard", "srem", "zadd", "zrangebyscore", "zrem", "zrevrangebyscore"),
    ),
}
"""What cannot be tried. An operator needs what BullMQ's scripts call besides, to add, retry and remove jobs."""

# Asks the server instead of trying: these commands would create the key, or change what the connection is for.
_MAY_CALL: Final = """
if redis.acl_check_cmd(ARGV[1], ARGV[1] == 'subscribe' and '__redis__:invalidate' or KEYS[1]) then return 1 end
return redis.error_reply('NOPERM no permissions to run ' .. ARGV[1])
"""


def needed_by(role: str, *, kind: TopologyKind = TopologyKind.SINGLE) -> list[str]:
    """Return the commands that a role runs, as ACLs name them."""
    return [*(name for name, _ in _probes([role], kind)), *_ASKED[role]]


def _probes(roles: Collection[str], kind: TopologyKind) -> list[tuple[str, str]]:
    """Return name and words of every command that one of the roles needs."""
    more = {TopologyKind.CLUSTER: _CLUSTER_PROBES, TopologyKind.SENTINEL: _SENTINEL_PROBES}.get(kind, ())
    return [(name, words) for name, words, needed_by in (*_PROBES, *more) if needed_by.intersection(roles)]


class CommandProbeResult(Struct, frozen=True, kw_only=True):
    """What a probe found."""

    missing: tuple[str, ...]
    """Commands that the server does not have, as ACLs name them."""

    forbidden: tuple[str, ...]
    """Commands that the user may not run, though one of the roles needs them."""

    closed_keys: tuple[str, ...]
    """The keys that the user may not touch, so that the rest could not be probed."""


class RedisCommandProbe:
    """Runs each command on a key that does not exist: of a cluster, at each primary, whose users are its own.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "", bull_prefix: str = "bull") -> None:
        """Probe through `client`, which the caller closes, on keys like those of streams and those of queues."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix
        self._bull_prefix = bull_prefix

    async def probe(self, roles: Collection[str] = ROLES) -> CommandProbeResult:
        """Probe everything that one of the roles needs."""
        prefixes = {self._prefix: [role for role in roles if role not in _OF_QUEUES]}
        prefixes.setdefault(f"{self._bull_prefix}:", []).extend(role for role in roles if role in _OF_QUEUES)
        results = [
            await self._probe(key, of_these)
            for prefix, of_these in prefixes.items()
            if of_these
            for key in await self._keys(prefix)
        ]
        return CommandProbeResult(
            missing=tuple(dict.fromkeys(name for result in results for name in result.missing)),
            forbidden=tuple(dict.fromkeys(name for result in results for name in result.forbidden)),
            closed_keys=tuple(key for result in results for key in result.closed_keys),
        )

    async def _keys(self, prefix: str) -> list[str]:
        """Return a key of each node that can have keys with a prefix."""
        keys: dict[Address, str] = {}
        for _ in range(KEYS_TRIED if self._nodes.is_cluster else 1):
            # No channel has such a name, so it cannot be mistaken for one.
            key = stream_key(f"domainstream-doctor:{token_hex(8)}", prefix)
            keys.setdefault(await self._nodes.address_of(key), key)
        return list(keys.values())

    async def _probe(self, key: str, roles: Collection[str]) -> CommandProbeResult:
        problems = {name: await self._problem(key, words.split()) for name, words in _probes(roles, self._nodes.kind)}
        asked = dict.fromkeys(name for role in roles for name in _ASKED[role])
        if not problems["eval"]:
            for name in asked:
                problems[name] = await self._problem(key, ["EVAL", _MAY_CALL, "1", _KEY, name])
        elif "permissions to run" in problems["eval"]:
            # Nobody can ask then. To grant what the user has already does no harm.
            problems |= dict.fromkeys(asked, problems["eval"])
        denied = {name: problem for name, problem in problems.items() if problem.startswith("NOPERM")}
        closed = [name for name, problem in denied.items() if "permissions to run" not in problem]
        return CommandProbeResult(
            missing=tuple(name for name, problem in problems.items() if "unknown" in problem),
            forbidden=tuple(name for name in denied if name not in closed),
            closed_keys=(key,) if closed else (),
        )

    async def _problem(self, key: str, words: Sequence[str]) -> str:
        """Run a command and return why it was rejected; empty when it was not."""
        command = [key if word == _KEY else word for word in words]

        async def run(redis: Any) -> str:
            try:
                await redis.execute_command(*command)
            except NoPermissionError as error:
                return f"NOPERM {error}"
            except ResponseError as error:
                if isinstance(error, MovedError) and self._nodes.is_cluster:
                    raise
                return str(error)
            return ""

        return await self._nodes.run(key, run)
