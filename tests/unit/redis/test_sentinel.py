"""Sentinels name the primary; connections lead to it, or to nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from support.consuming import until

from domainstream.errors import ServerUnavailableError
from domainstream.redis.cluster_link import open_link
from domainstream.redis.connection import connect, connect_blocking
from domainstream.redis.link import RedisLink
from domainstream.redis.sentinel import PrimaryLookup
from domainstream.redis.topology import Address, RedisTopology

Command = list[bytes]
Start = Callable[..., Awaitable[Any]]


class FakeServer:
    """Listens on a free port and answers commands with `reply`."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", 0)
        self.commands: list[Command] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address(*self._server.sockets[0].getsockname())

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        assert self._server
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()

    def reply(self, command: Command) -> bytes:
        """Return the reply to a command."""
        raise NotImplementedError

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while count := (await reader.readline())[1:]:
                command = []
                for _ in range(int(count)):
                    length = int((await reader.readline())[1:])
                    command.append((await reader.readexactly(length + 2))[:-2])
                self.commands.append(command)
                writer.write(self.reply(command))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class FakeSentinel(FakeServer):
    """Names a primary."""

    def __init__(self, primary: Address | None, epoch: int = 1) -> None:
        super().__init__()
        self.primary = primary
        self.epoch = epoch
        self.silent = False

    def reply(self, command: Command) -> bytes:
        """Answer as a sentinel does."""
        known = self.primary
        match [word.decode().upper() for word in command[:2]]:
            case _ if self.silent:
                return b""
            case ["SENTINEL", "GET-MASTER-ADDR-BY-NAME"]:
                return array(known.host, str(known.port)) if known else b"*-1\r\n"
            case ["SENTINEL", "MASTER"]:
                state = array("name", "main", "config-epoch", str(self.epoch))
                return state if known else b"-ERR No such master with that name\r\n"
            case ["SUBSCRIBE", *_]:
                return array("subscribe", "channel", "1") * (len(command) - 1)
            case _:
                return b"+OK\r\n"

    def announce(self, primary: Address, epoch: int) -> None:
        """Name another primary, and publish it."""
        self.primary, self.epoch = primary, epoch
        for writer in self.writers:
            writer.write(array("message", "+switch-master", f"main 127.0.0.1 1 {primary.host} {primary.port}"))


class FakeRedis(FakeServer):
    """Says its role, and takes writes as long as it is the primary; `BLPOP` blocks for ever."""

    def __init__(self, role: str = "master") -> None:
        super().__init__()
        self.role = role

    def reply(self, command: Command) -> bytes:
        """Answer as a server does."""
        match command[0].upper():
            case b"ROLE":
                return array(self.role, "0")
            case b"SET" if self.role != "master":
                return b"-READONLY You can't write against a read only replica.\r\n"
            case b"BLPOP":
                return b""
            case _:
                return b"+OK\r\n"

    def count(self, name: bytes) -> int:
        """Count the commands of a name."""
        return sum(command[0].upper() == name for command in self.commands)


def array(*texts: str) -> bytes:
    """Return an array of strings as servers send it."""
    return f"*{len(texts)}\r\n".encode() + b"".join(f"${len(text)}\r\n{text}\r\n".encode() for text in texts)


def url_of(*sentinels: FakeServer) -> str:
    """Return the URL that names these sentinels."""
    return f"redis+sentinel://{','.join(str(one.address) for one in sentinels)}/main"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """A function that starts a fake server, which is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(server: FakeServer) -> FakeServer:
            await server.start()
            stack.push_async_callback(server.stop)
            return server

        yield start


@pytest.fixture
async def old(start: Start) -> FakeRedis:
    """The primary at first."""
    return await start(FakeRedis())  # type: ignore[no-any-return]


@pytest.fixture
async def new(start: Start) -> FakeRedis:
    """The primary later."""
    return await start(FakeRedis())  # type: ignore[no-any-return]


def lookup_of(*sentinels: FakeServer) -> PrimaryLookup:
    """Return the lookup that asks these sentinels."""
    return PrimaryLookup(RedisTopology.of(url_of(*sentinels)))


async def test_every_client_connects_to_the_primary(start: Start, old: FakeRedis) -> None:
    """Links, a client and a client for threads ask the sentinels, and then the server for its role."""
    sentinel = await start(FakeSentinel(old.address))
    link, client = RedisLink.from_url(url_of(sentinel)), connect(url_of(sentinel))
    blocking = connect_blocking(url_of(sentinel), client_name="test")

    relay = open_link(url_of(sentinel))

    assert await link.ask(("SET", "key", "1"), seconds=5) == b"OK"
    assert await relay.ask(("SET", "key", "2"), seconds=5) == b"OK"
    await client.set("key", "3")
    await asyncio.to_thread(blocking.set, "key", "4")

    assert [command[2] for command in old.commands if command[0] == b"SET"] == [b"1", b"2", b"3", b"4"]
    assert old.count(b"ROLE") == 4
    await relay.close()
    assert link.place == f"main (sentinels {sentinel.address})"
    await link.close()
    await client.aclose()
    blocking.close()


async def test_sentinel_that_is_down_is_passed_over_and_asked_last_the_next_time(start: Start, old: FakeRedis) -> None:
    """One sentinel that answers is enough, and the dead one costs time only once."""
    silent, alive = await start(FakeSentinel(old.address)), await start(FakeSentinel(old.address))
    silent.silent = True
    lookup = lookup_of(silent, alive)

    assert (await lookup.primary()).address == old.address
    count = len(silent.writers)
    assert (await lookup.primary()).address == old.address
    assert len(silent.writers) == count


async def test_sentinel_that_is_silent_does_not_take_all_the_time_of_every_call(start: Start, old: FakeRedis) -> None:
    """A caller with less time than a sentinel may take gets its answer from the next one, one call later."""
    silent, alive = await start(FakeSentinel(old.address)), await start(FakeSentinel(old.address))
    silent.silent = True
    link = RedisLink.from_url(url_of(silent, alive))

    with pytest.raises(ServerUnavailableError):
        await link.ask(("SET", "key", "1"), seconds=0.2)
    assert await link.ask(("SET", "key", "1"), seconds=5) == b"OK"
    await link.close()


async def test_news_come_from_the_next_sentinel_when_one_dies(start: Start, old: FakeRedis, new: FakeRedis) -> None:
    """A connection that lives on is not stuck with a sentinel that is gone."""
    first, second = await start(FakeSentinel(old.address)), await start(FakeSentinel(old.address))
    link = RedisLink.from_url(url_of(first, second))
    await link.ask(("SET", "key", "1"), seconds=5)
    await until(lambda: any(command[0] == b"SUBSCRIBE" for command in first.commands))

    await first.stop()
    await until(lambda: any(command[0] == b"SUBSCRIBE" for command in second.commands))
    second.announce(new.address, epoch=2)
    await until(lambda: _writes_at(link, new))
    await link.close()


async def _writes_at(link: RedisLink, server: FakeRedis) -> bool:
    with suppress(ServerUnavailableError):  # the news may come while it waits for the reply
        await link.ask(("SET", "key", "2"), seconds=5)
    return server.count(b"SET") > 0


async def test_no_sentinel_is_an_error_that_says_why(start: Start, old: FakeRedis) -> None:
    """The error names each sentinel and what it answered."""
    unaware, gone = await start(FakeSentinel(None)), await start(FakeSentinel(old.address))
    await gone.stop()
    link = RedisLink.from_url(url_of(unaware, gone))

    with pytest.raises(ServerUnavailableError) as raised:
        await link.ask(("PING",), seconds=5)

    assert f"no connection to the server at main (sentinels {unaware.address}, {gone.address})" in str(raised.value)
    assert "it does not know main; correct the name in the URL" in str(raised.value)
    assert f"{gone.address}: " in str(raised.value)


async def test_sentinel_that_was_cut_off_is_not_believed(start: Start, old: FakeRedis, new: FakeRedis) -> None:
    """An answer from before the last failover counts only if no sentinel knows better."""
    stale, fresh = await start(FakeSentinel(old.address, epoch=1)), await start(FakeSentinel(new.address, epoch=2))

    lookup = lookup_of(fresh, stale)
    assert (await lookup.primary()).address == new.address
    assert (await lookup.primary(stale.address)).address == new.address
    assert await asyncio.to_thread(lookup.primary_blocking) == (new.address, 0)

    await fresh.stop()
    assert (await lookup.primary()).address == old.address


async def test_control_without_the_epoch_the_stale_answer_counts(
    start: Start, old: FakeRedis, new: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: who takes the first answer goes back to the old primary."""
    stale, fresh = await start(FakeSentinel(old.address, epoch=1)), await start(FakeSentinel(new.address, epoch=2))
    lookup = lookup_of(fresh, stale)
    await lookup.primary()

    lookup._epoch = -1

    assert (await lookup.primary(stale.address)).address == old.address


async def test_replica_is_not_taken_for_the_primary(start: Start) -> None:
    """A server whose role contradicts the sentinels gets no command."""
    replica = await start(FakeRedis("slave"))
    sentinel = await start(FakeSentinel(replica.address))
    link, client = RedisLink.from_url(url_of(sentinel)), connect(url_of(sentinel))
    blocking = connect_blocking(url_of(sentinel), client_name="test")

    with pytest.raises(ServerUnavailableError, match=f"name {replica.address} as the primary, but it is a replica"):
        await link.ask(("SET", "key", "1"), seconds=5)
    with pytest.raises(RedisConnectionError, match="but it is a replica"):
        await client.set("key", "1")
    with pytest.raises(RedisConnectionError, match="but it is a replica"):
        await asyncio.to_thread(blocking.set, "key", "1")

    assert replica.count(b"SET") == 0
    await client.aclose()


async def test_news_of_a_failover_drops_connections_to_the_old_primary(
    start: Start, old: FakeRedis, new: FakeRedis
) -> None:
    """A command that blocks ends at once, and what was idle goes to the new primary, though the old one lives."""
    sentinel = await start(FakeSentinel(old.address))
    blocked, idle, client = (*(RedisLink.from_url(url_of(sentinel)) for _ in range(2)), connect(url_of(sentinel)))
    await idle.ask(("SET", "key", "1"), seconds=5)
    await client.set("key", "1")
    waiting = asyncio.create_task(blocked.ask(("BLPOP", "queue", "0"), seconds=60))
    await until(lambda: old.count(b"BLPOP") and any(command[0] == b"SUBSCRIBE" for command in sentinel.commands))

    sentinel.announce(new.address, epoch=2)
    with pytest.raises(ServerUnavailableError):
        await waiting
    await idle.ask(("SET", "key", "2"), seconds=5)
    await client.set("key", "2")

    assert (old.count(b"SET"), new.count(b"SET")) == (2, 2)
    for one in (blocked, idle):
        await one.close()
    await client.aclose()


async def test_all_connections_follow_the_first_that_learns_of_a_failover(
    start: Start, old: FakeRedis, new: FakeRedis
) -> None:
    """No part of a process works with the old primary once another part knows the new one, even without news."""
    sentinel = await start(FakeSentinel(old.address))
    reader, forwarder = RedisLink.from_url(url_of(sentinel)), RedisLink.from_url(url_of(sentinel))
    blocking = connect_blocking(url_of(sentinel), client_name="test")
    await reader.ask(("SET", "key", "1"), seconds=5)
    await forwarder.ask(("SET", "key", "1"), seconds=5)
    await asyncio.to_thread(blocking.set, "key", "1")

    sentinel.primary, sentinel.epoch = new.address, 2
    await reader.drop()
    await reader.ask(("SET", "key", "2"), seconds=5)
    await forwarder.ask(("SET", "key", "2"), seconds=5)
    await asyncio.to_thread(blocking.set, "key", "2")

    assert (old.count(b"SET"), new.count(b"SET")) == (3, 3)
    await reader.close()
    await forwarder.close()
    blocking.close()


async def test_control_a_link_by_address_stays_at_the_old_primary(start: Start, old: FakeRedis, new: FakeRedis) -> None:
    """Control: a connection that the sentinels do not end goes on writing to a primary that was replaced."""
    sentinel = await start(FakeSentinel(old.address))
    follows, stays = RedisLink.from_url(url_of(sentinel)), RedisLink.from_url(f"redis://{old.address}")
    await stays.ask(("SET", "key", "1"), seconds=5)
    sentinel.announce(new.address, epoch=2)
    await follows.ask(("SET", "key", "2"), seconds=5)

    assert await stays.ask(("SET", "key", "2"), seconds=5) == b"OK"

    assert (old.count(b"SET"), new.count(b"SET")) == (2, 1)
    await follows.close()
    await stays.close()


async def test_readonly_is_a_rejection_after_which_the_sentinels_are_asked(
    start: Start, old: FakeRedis, new: FakeRedis
) -> None:
    """READONLY stays a reply, so that the caller knows that nothing was written; the next call finds the primary."""
    sentinel = await start(FakeSentinel(old.address))
    link, client = RedisLink.from_url(url_of(sentinel)), connect(url_of(sentinel))
    blocking = connect_blocking(url_of(sentinel), client_name="test")
    await link.ask(("SET", "key", "1"), seconds=5)
    await client.set("key", "1")
    await asyncio.to_thread(blocking.set, "key", "1")
    old.role = "slave"

    (reply,) = await link.send(("SET", "key", "2"), seconds=5)
    assert isinstance(reply, ReadOnlyError)
    with pytest.raises(ReadOnlyError):
        await client.set("key", "2")
    with pytest.raises(ReadOnlyError):
        await asyncio.to_thread(blocking.set, "key", "2")
    sentinel.primary, sentinel.epoch = new.address, 2
    await link.ask(("SET", "key", "2"), seconds=5)
    await client.set("key", "2")
    await asyncio.to_thread(blocking.set, "key", "2")

    assert new.count(b"SET") == 3
    await link.close()
    await client.aclose()
    blocking.close()


async def test_nobody_listens_once_all_connections_are_closed(start: Start, old: FakeRedis) -> None:
    """The task that listens to a sentinel ends with the last connection."""
    sentinel = await start(FakeSentinel(old.address))
    link = RedisLink.from_url(url_of(sentinel))
    await link.ask(("PING",), seconds=5)
    assert "domainstream sentinel listener" in {task.get_name() for task in asyncio.all_tasks()}

    await link.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert "domainstream sentinel listener" not in {task.get_name() for task in asyncio.all_tasks()}


def test_parts_of_a_process_share_what_they_know() -> None:
    """Whoever names the same sentinels, primary and credentials shares a lookup; another database is another one."""
    one, same, other = (
        PrimaryLookup.of(RedisTopology.of(url))
        for url in ("redis+sentinel://h1/main", "redis+sentinel://h1/main", "redis+sentinel://h1/main/1")
    )

    assert one is same
    assert one is not other
