"""Effects that are Redis commands happen once per event."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import attempt_with, received
from support.inboxes import CrashError

from domainstream.errors import ConfigurationError, InboxError, ServerRefusedError, ServerUnavailableError
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker import EventContext, RedisInbox
from domainstream.worker.outcomes import Completed, Failed

MANY = 20


class Account:
    """A balance in Redis: an event that is handled twice counts twice."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self.key = f"{prefix}balance"
        self.prefix = f"{prefix}inbox:"
        self.inbox = self.inbox_by(redis)

    def inbox_by(self, client: Redis, name: str = "valuation.pay", **settings: Any) -> RedisInbox:
        """Return the inbox through a client."""
        return RedisInbox(client, name, prefix=self.prefix, **settings)

    def pay(self, commands: Any) -> None:
        """Have the effect."""
        commands.incrby(self.key, 5)

    async def balance(self) -> int:
        """Return what was paid."""
        return int(await self.redis.get(self.key) or 0)


@pytest.fixture
def account(redis: Redis, stream_prefix: str) -> Account:
    """An empty account."""
    return Account(redis, stream_prefix)


async def crash_once(account: Account, effect: Callable[[OptimizationEvaluated], Any]) -> int:
    """Handle an event by a handler that crashes behind its effect the first time; return the balance."""
    runs = []

    async def pay(event: OptimizationEvaluated, context: EventContext) -> None:
        await effect(event)
        runs.append(event)
        if len(runs) == 1:
            raise CrashError

    job = received(attempts=2)
    assert isinstance(await attempt_with(pay, job), Failed)
    assert await attempt_with(pay, job) == Completed()
    return await account.balance()


async def test_crash_after_the_effect_has_it_twice_without_an_inbox(account: Account) -> None:
    """The control: a process that ends between the effect and the job's completion pays again."""
    assert await crash_once(account, lambda _event: account.redis.incrby(account.key, 5)) == 10


async def test_crash_after_the_effect_has_it_once_with_an_inbox(account: Account) -> None:
    """The second run finds the mark and goes on behind the effect."""
    assert await crash_once(account, lambda event: account.inbox.once(event, account.pay)) == 5


async def test_once_returns_whether_this_was_the_first_time(account: Account) -> None:
    """`once` returns True for the run that had the effects, and False for repeats."""
    event = evaluated()
    assert [await account.inbox.once(event, account.pay) for _ in range(3)] == [True, False, False]


async def test_runs_at_the_same_time_have_the_effect_once(account: Account) -> None:
    """As when a stalled job is given to a second worker while the first one still runs."""
    event = evaluated()
    firsts = await asyncio.gather(*(account.inbox.once(event, account.pay) for _ in range(MANY)))
    assert sorted(firsts) == [*[False] * (MANY - 1), True]
    assert await account.balance() == 5


async def test_error_while_queueing_leaves_nothing(account: Account) -> None:
    """Neither mark nor effect; the next run has it."""
    event = evaluated()

    def pay_and_fail(commands: Any) -> None:
        account.pay(commands)
        raise CrashError

    with pytest.raises(CrashError):
        await account.inbox.once(event, pay_and_fail)
    assert await account.balance() == 0
    assert await account.inbox.once(event, account.pay)


async def test_effects_may_be_a_coroutine_function(account: Account) -> None:
    """It is awaited, not forgotten."""

    async def pay(commands: Any) -> None:
        account.pay(commands)

    assert await account.inbox.once(evaluated(), pay)
    assert await account.balance() == 5


async def test_client_that_decodes_is_supported(redis_url: str, account: Account) -> None:
    """The mark is text to one client and bytes to another."""
    event = evaluated()
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        inbox = account.inbox_by(client)
        assert [await inbox.once(event, account.pay) for _ in range(2)] == [True, False]
    assert not await account.inbox.once(event, account.pay)


async def test_handlers_and_events_are_distinguished(account: Account) -> None:
    """Each handler has each event once."""
    other = account.inbox_by(account.redis, "valuation.notify")
    events = [evaluated(), evaluated()]
    firsts = [await inbox.once(event, account.pay) for inbox in (account.inbox, other) for event in events * 2]
    assert firsts == [True, True, False, False] * 2


async def test_mark_goes_after_the_horizon(account: Account) -> None:
    """Memory is bounded by the events of that time."""
    event = evaluated()
    await account.inbox_by(account.redis, horizon=timedelta(seconds=90)).once(event, account.pay)
    assert 0 < await account.redis.pttl(f"{account.prefix}valuation.pay:{event.id}") <= 90_000


async def test_commands_that_were_applied_in_part_raise_each_time(account: Account) -> None:
    """Commands that were applied in part are an error each time, since Redis cannot undo them."""
    event = evaluated()

    def pay_wrongly(commands: Any) -> None:
        account.pay(commands)
        commands.lpush(account.key, "no list")

    for _ in range(2):
        with pytest.raises(InboxError, match=r"applied in part: .*redis-cli DEL"):
            await account.inbox.once(event, pay_wrongly)
    assert await account.balance() == 5


async def test_lost_reply_has_the_effect_again_without_an_inbox(redis_url: str, account: Account) -> None:
    """The control: redis-py repeats a command whose reply got lost."""
    async with FaultProxy(redis_url) as proxy, Redis(port=int(proxy.url.rpartition(":")[2])) as client:
        proxy.lose_replies_to(b"INCRBY", 1)
        await client.incrby(account.key, 5)
    assert await account.balance() == 10


async def test_lost_reply_has_the_effect_once_with_an_inbox(redis_url: str, account: Account) -> None:
    """The mark shows that the transaction had been run, and by this call."""
    event = evaluated()
    async with FaultProxy(redis_url) as proxy, Redis(port=int(proxy.url.rpartition(":")[2])) as client:
        proxy.lose_replies_to(b"EXEC", 1)
        assert await account.inbox_by(client).once(event, account.pay)
        assert proxy.faults == 1
    assert await account.balance() == 5
    assert not await account.inbox.once(event, account.pay)


async def test_absent_server_is_an_error_of_ours() -> None:
    """An absent server raises `ServerUnavailableError`, so that the attempt is retried."""
    async with Redis(port=1, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(ServerUnavailableError):
            await RedisInbox(client, "valuation.pay").once(evaluated(), lambda _commands: None)


async def test_command_rejected_before_the_transaction_leaves_nothing(account: Account) -> None:
    """As a misspelt one, or any while the memory is full: the server runs none of them."""
    event = evaluated()

    def pay_wrongly(commands: Any) -> None:
        account.pay(commands)
        commands.execute_command("INCRBY", account.key)

    with pytest.raises(ServerRefusedError):
        await account.inbox.once(event, pay_wrongly)
    assert await account.balance() == 0
    assert await account.inbox.once(event, account.pay)


@pytest.mark.parametrize("name", ["", "a:b", "a b"])
def test_name_is_checked(name: str) -> None:
    """Keys are built with it."""
    with pytest.raises(ConfigurationError, match="name"):
        RedisInbox(Redis(), name)
