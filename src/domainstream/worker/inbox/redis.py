"""Redis commands as effects that happen once per event, however often its handler runs."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from domainstream.errors import InboxError
from domainstream.event import BaseEvent
from domainstream.queue.job import name_problem
from domainstream.redis.errors import translated_errors
from domainstream.validation import plain_name, positive, raise_problems

HORIZON: Final = timedelta(days=7)
_IN_PART: Final = "in part"

Effects = Callable[[Pipeline], object]


class RedisInbox:
    """Records in Redis which events have had their effects.

    Usage::

        inbox = RedisInbox(client, "valuation.price-stay")

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            await inbox.once(event, lambda commands: commands.incrby("revenue", event.payload.cents))

    The mark of the event and the effects are one transaction (MULTI), so a crash at any moment leaves both or none; a
    server that loses acknowledged writes loses both together. For many concurrent tasks and processes. In a cluster the
    keys of mark and effects must share a slot: put a hash tag into the name.
    """

    def __init__(self, client: Redis, name: str, *, horizon: timedelta = HORIZON, prefix: str = "inbox:") -> None:
        """Record events through `client`, which the caller closes, and keep each mark for `horizon`.

        `name` distinguishes the handlers of an event. Keys are `{prefix}{name}:{event id}`. An event that is handled
        again after the horizon has its effects again. Raises `ConfigurationError` for an empty name and a horizon of
        zero or less.
        """
        name = plain_name(name)
        raise_problems("RedisInbox", [name_problem("name", name), positive("horizon", horizon, timedelta)])
        self._client = client
        self._horizon = horizon
        self._prefix = f"{plain_name(prefix)}{name}:"

    async def once(self, event: BaseEvent[Any], effects: Effects) -> bool:
        """Let `effects(commands)` queue commands, and run them unless those of `event` have already been run.

        Returns whether this call ran them. Do whatever else follows, such as publishing, in either case: an earlier
        run of the handler may have ended between the effects and the rest.

        Raises `ServerError`; the effects may have happened then, which the next call finds out. Raises `InboxError`
        when the server ran some of the commands and rejected others, which it does not undo; so does each later call.
        """
        key, token = f"{self._prefix}{event.id}", str(uuid4())
        with translated_errors(self._client):
            while True:
                try:
                    return await self._try(key, token, effects)
                except WatchError:
                    # Another run was faster, or our reply was lost: reading the mark again shows which.
                    continue

    async def _try(self, key: str, token: str, effects: Effects) -> bool:
        commands: Any
        async with self._client.pipeline(transaction=True) as commands:
            await commands.watch(key)
            mark: Any = await commands.get(key)
            if mark is not None:
                text = mark.decode() if isinstance(mark, bytes) else mark
                if text == _IN_PART:
                    raise _applied_in_part(key, "see the first attempt's error")
                # Our own token means that a transaction of this call succeeded although its reply was lost.
                return bool(text == token)
            commands.multi()
            queued = effects(commands)
            if inspect.isawaitable(queued):
                await queued
            commands.set(key, token, px=self._horizon)
            replies: list[Any] = await commands.execute(raise_on_error=False)
        rejected = [
            f"command {number}: {reply}" for number, reply in enumerate(replies, 1) if isinstance(reply, Exception)
        ]
        if rejected:
            await self._client.set(key, _IN_PART, px=self._horizon)
            raise _applied_in_part(key, "; ".join(rejected))
        return True


def _applied_in_part(key: str, why: str) -> InboxError:
    return InboxError(
        f"the effects behind {key} were applied in part: {why}. "
        f"Fix: complete them by hand and keep the mark, or undo them and run redis-cli DEL {key}"
    )
