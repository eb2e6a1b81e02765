"""Changes over how many streams a channel is spread, once everything in its streams is read.

In this order, so that a run which dies is finished by another one, and nothing gets where nobody reads it: the streams
of the new number are made, with the groups of the old one; the old streams are closed for publishers; what they hold
must be read; then the new number is written down beside each partition, and last in place of the channel's own stream.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from domainstream.channel.partitions import streams_of
from domainstream.errors import ConfigurationError, DomainStreamError
from domainstream.publisher.index_records import index_keys
from domainstream.publisher.partition_layout import CLAIM, layout_key
from domainstream.redis.keys import dead_letter_key, lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script, lua_text

_STEP: Final = Script.of(lua_text("domainstream.tools", "repartition"))


class UnreadEntriesError(DomainStreamError):
    """Entries would be overtaken, or left in streams that nobody reads any more."""


class Change(Struct, frozen=True):
    """A change of a channel's number of partitions."""

    channel: str
    """The channel's value."""

    before: int
    """The number that it had."""

    after: int
    """The number that it has then."""

    written: str
    """What is written down now: `before`, or `before>after` once the change has begun."""

    @property
    def text(self) -> str:
        """What is written down while the channel is being changed."""
        return f"{self.before}>{self.after}"

    @property
    def old(self) -> tuple[str, ...]:
        """The streams before."""
        return streams_of(self.channel, self.before)

    @property
    def new(self) -> tuple[str, ...]:
        """The streams afterwards."""
        return streams_of(self.channel, self.after)


class RedisRepartition:
    """Changes the partitions of channels below a prefix. For one task. Raises the same errors as `StreamReader`."""

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Work through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix

    async def plan(self, channel: str, partitions: int) -> Change:
        """Return what `apply` would change; nothing if `before` and `after` are the same.

        Raises `ConfigurationError` while another change is not finished, and `UnreadEntriesError` when entries are
        unread, or a stream that would go has dead letters.
        """
        reply = await self._nodes.call(CLAIM, [stream_key(channel, self._prefix)], "1")
        before, _, begun = reply.decode().partition(">")
        if begun and int(begun) != partitions:
            problem = f"a change from {before} to {begun} partitions is not finished; run it again with {begun} first"
            raise ConfigurationError(f"{channel} cannot be changed:", [problem])
        change = Change(channel, int(before), partitions, reply.decode())
        if change.before != change.after:
            self._verify_read(change, {stream: await self._step("look", stream) for stream in change.old})
            await self._verify_no_dead_letters(change)
        return change

    async def apply(self, change: Change) -> None:
        """Make the change that `plan` returned. Raises `UnreadEntriesError` when entries have come since."""
        groups = {group for stream in (*change.old, *change.new) for group in await self._groups(stream)}
        if change.after > 1:
            for stream in change.new:
                await self._step("make", stream, groups=groups)
        if change.written == "1":
            behind = await self._step("replace", change.channel, change.text, groups=groups)
            self._verify_read(change, {change.channel: behind})
        elif change.before > 1:
            await self._close(change)
        for stream in {*change.old, *change.new} - {change.channel}:
            await self._write(layout_key(self._key(stream)), str(change.after))
        if change.after > 1:
            await self._write(self._key(change.channel), str(change.after))
        else:
            await self._step("make", change.channel, groups=groups)
        for stream in {*change.old} - {*change.new, change.channel}:
            await self._step("remove", stream, groups=groups)

    async def _close(self, change: Change) -> None:
        """Let no publisher add anything to the old partitions; open them again if something is unread."""
        await self._write(self._key(change.channel), change.text)
        behind = {stream: await self._step("close", stream, change.text) for stream in change.old}
        if any(behind.values()):
            for stream in change.old:
                await self._write(layout_key(self._key(stream)), str(change.before))
            await self._write(self._key(change.channel), str(change.before))
        self._verify_read(change, behind)

    @staticmethod
    def _verify_read(change: Change, behind: dict[str, Sequence[bytes]]) -> None:
        found = {stream: b", ".join(groups).decode(errors="replace") for stream, groups in behind.items() if groups}
        if found:
            where = "; ".join(f"{stream} ({groups or 'no group reads it'})" for stream, groups in found.items())
            raise UnreadEntriesError(
                f"{change.channel} keeps its {change.before} partitions: entries are unread or not acknowledged in "
                f"{where}. Stop its publishers, let the subscribers read the rest, and run this again. A group that "
                "nobody uses any more is removed by domainstream groups rm"
            )

    async def _verify_no_dead_letters(self, change: Change) -> None:
        for stream in [each for each in change.old if each not in change.new]:
            key = dead_letter_key(self._key(stream), is_cluster=self._nodes.is_cluster)
            if await self._nodes.run(key, lambda client, key=key: client.exists(key)):  # type: ignore[misc]
                raise UnreadEntriesError(
                    f"{change.channel} keeps its {change.before} partitions: {stream} has dead letters, which could "
                    f"not be put back afterwards. Run domainstream dead-letters redrive {stream}, or purge, then this"
                )

    async def _groups(self, stream: str) -> list[bytes]:
        key = self._key(stream)

        async def names(client: Redis) -> list[bytes]:
            if await client.type(key) != b"stream":
                return []
            return [group["name"] for group in await client.xinfo_groups(key)]

        return await self._nodes.run(key, names)

    async def _step(self, step: str, stream: str, text: str = "", *, groups: Iterable[bytes] = ()) -> Sequence[bytes]:
        key = self._key(stream)
        names = sorted(groups)
        number = layout_key(key) if ":" in stream else key
        leases = [lease_key(key, name.decode(errors="replace")) for name in names]
        keys = [key, number, *index_keys(key), *leases]
        behind: Sequence[bytes] = await self._nodes.call(_STEP, keys, step, text, *names)
        return behind

    async def _write(self, key: str, text: str) -> None:
        await self._nodes.run(key, lambda client: client.set(key, text))

    def _key(self, stream: str) -> str:
        return stream_key(stream, self._prefix)
