"""Effects that are Redis commands and happen once per event, however often its handler runs."""

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
from domainstream.queue.names import name_problem
from domainstream.redis.errors import translated_errors
from domainstream.validation import positive, raise_problems

HORIZON: Final = timedelta(days=7)
_IN_PART: Final = "in part"

Effects = Callable[[Pipeline], object]


class RedisInbox:
    """Remembers in Redis which events have had their effects.

    Usage::

        inbox = RedisInbox(client, "valuation.price-stay")

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            await inbox.once(event, lambda commands: commands.incrby("revenue", event.payload.cents))

    The mark of the event and the effects are one transaction (MULTI), so a crash at any moment leaves both or none; a
    server that loses acknowledged writes loses both together. For many tasks and processes at once. In a cluster the
    keys of mark and effects must share a slot: put a hash tag into the name.
    """

    def __init__(self, client: Redis, name: str, *, horizon: timedelta = HORIZON, prefix: str = "inbox:") -> None:
        """Remember by `client`, which is used and not closed, for `horizon` per event.

        `name` tells the handlers of an event apart. Keys are `{prefix}{name}:{event id}`. A repeat that comes after the
        horizon has effects again. Raises `ConfigurationError` for an empty name or a horizon of zero.
        """
        raise_problems("RedisInbox", [name_problem("name", name), positive("horizon", horizon, timedelta)])
        self._client = client
        self._horizon = horizon
        self._prefix = f"{prefix}{name}:"

    async def once(self, event: BaseEvent[Any], effects: Effects) -> bool:
        """Queue the commands of `effects(commands)` and run them, unless those of `event` have been run already.

        Returns whether this call ran them. What else follows, as publishing, must be done in either case: the run
        before may have ended between the effects and the rest.

        Raises `ServerError`; then the effects may have happened, which the next call finds out. Raises `InboxError`
        when the server ran some of the commands and refused others, which it does not undo; each further call raises
        it too.
        """
        key, token = f"{self._prefix}{event.id}", str(uuid4())
        with translated_errors(self._client):
            while True:
                try:
                    return await self._try(key, token, effects)
                except WatchError:
                    # Somebody else was faster, or the reply was lost: the mark tells.
                    continue

    async def _try(self, key: str, token: str, effects: Effects) -> bool:
        commands: Any
        async with self._client.pipeline(transaction=True) as commands:
            await commands.watch(key)
            mark: Any = await commands.get(key)
            if mark is not None:
                return self._is_ours(key, mark, token)
            commands.multi()
            queued = effects(commands)
            if inspect.isawaitable(queued):
                await queued
            commands.set(key, token, px=self._horizon)
            replies: list[Any] = await commands.execute(raise_on_error=False)
        await self._refuse_part(key, replies)
        return True

    def _is_ours(self, key: str, mark: bytes | str, token: str) -> bool:
        text = mark.decode() if isinstance(mark, bytes) else mark
        if text == _IN_PART:
            raise _applied_in_part(key, "see the first attempt's error")
        return text == token

    async def _refuse_part(self, key: str, replies: list[Any]) -> None:
        refused = [f"command {number}: {reply}" for number, reply in enumerate(replies, 1) if _is_error(reply)]
        if refused:
            await self._client.set(key, _IN_PART, px=self._horizon)
            raise _applied_in_part(key, "; ".join(refused))


def _is_error(reply: object) -> bool:
    return isinstance(reply, Exception)


def _applied_in_part(key: str, why: str) -> InboxError:
    return InboxError(
        f"the effects behind {key} were applied in part: {why}. Mend the keys by hand and keep the mark; "
        f"or undo them and type: redis-cli DEL {key}"
    )
