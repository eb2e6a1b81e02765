"""Over how many streams a channel is spread, as the server has it, so that publishers and subscribers agree.

A channel with partitions has no stream of its own. In its place is a string with the number of partitions: whoever
takes the channel for one stream gets WRONGTYPE, and nothing can be added there that nobody reads. Beside the stream of
each partition lies a copy of the number, which the script that adds batches compares with the publisher's in the same
step: on a cluster the streams lie on different nodes, and no script sees the original. `domainstream streams
repartition` changes the number, the copies first.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from redis.exceptions import RedisError

from domainstream.channel.partitions import Target, parse_target
from domainstream.errors import ConfigurationError, ServerRefusedError
from domainstream.publisher.index_records import ADD_TO_INDEX, INDEX, index_keys, without_index
from domainstream.publisher.retention import RETENTION
from domainstream.redis.errors import NoReplyError, code_of, server_error
from domainstream.redis.keys import companion_key, stream_key
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply
from domainstream.redis.scripts import Script, lua_text
from domainstream.settings import Confirm

PUBLISH_BATCH: Final = Script.of(
    lua_text("domainstream.publisher", "publish_batch", retention=RETENTION, index=INDEX, add_to_index=ADD_TO_INDEX)
)
CLAIM: Final = Script.of(lua_text("domainstream.publisher", "claim_layout"))


def layout_key(stream: str) -> str:
    """Return where the copy of a channel's number of partitions lies, beside the partition with the key `stream`."""
    return companion_key(stream, "partitions")


def batch_keys(target: str, last_batch: str, prefix: str, *, index: bool) -> tuple[tuple[str, ...], str]:
    """Return the keys of a call of the script, their count first, and the number of partitions as it takes it.

    `last_batch` names the key of the producer's last batch. A target of another layout has another such key, although
    it may have the same stream. With `index`, the keys of the stream's index are the last ones.
    """
    _, stream, partitions = parse_target(target)
    key = stream_key(stream, prefix)
    of_index = index_keys(key) if index else ()
    if partitions == 1:
        return (str(2 + len(of_index)), key, companion_key(key, last_batch), *of_index), ""
    number = str(partitions)
    last_batch = companion_key(key, f"{last_batch}/{number}")
    return (str(3 + len(of_index)), key, last_batch, layout_key(key), *of_index), number


def layout_problem(target: Target, layout: str, place: str) -> ConfigurationError:
    """Return the error of who has another number of partitions than the server at `place`, which has `layout`."""
    name = target.channel.upper()
    heading = f"{name} cannot be used with partitions={target.partitions}:"
    if ">" in layout:
        before, after = layout.split(">")
        step = f"run domainstream streams repartition {target.channel} {after} again, which finishes it"
        return ConfigurationError(
            heading, [f"{name} at {place} is being changed from {before} to {after} partitions; {step}"]
        )
    steps = f"set its partitions to {layout}, or follow docs/how-to/partition-a-channel.md to change the server's"
    return ConfigurationError(heading, [f"{place} has {name} with partitions={layout}; {steps}"])


async def claim(link: RedisLink, targets: Sequence[Target], prefix: str, *, seconds: float) -> list[Exception | None]:
    """Write down the number of partitions of each target where nobody has.

    Returns for each of them None when the server has the same number, a `ConfigurationError` when it has another one,
    or why it is unknown; then nothing of the target may be sent.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    keys = [stream_key(target.channel, prefix) for target in targets]
    replies = await _claim_at(link, keys, targets, seconds)
    left = [index for index, reply in enumerate(replies) if reply is None]
    keys = [layout_key(stream_key(targets[index].stream, prefix)) for index in left]
    seconds = deadline - asyncio.get_running_loop().time()
    answers = await _claim_at(link, keys, [targets[index] for index in left], seconds)
    for index, answer in zip(left, answers, strict=True):
        replies[index] = answer
    return replies


async def claim_channels(link: RedisLink, channels: Mapping[str, int], prefix: str) -> None:
    """Write down the number of partitions of each channel where nobody has.

    Raises `ConfigurationError` when the server has other ones, and `ServerError`.
    """
    targets = [Target(channel, channel, partitions) for channel, partitions in channels.items()]
    keys = [stream_key(target.channel, prefix) for target in targets]
    replies = await _claim_at(link, keys, targets, REPLY_TIMEOUT)
    problems = [problem for reply in replies if isinstance(reply, ConfigurationError) for problem in reply.problems]
    if problems:
        raise ConfigurationError("The partitions of channels do not fit those of the server:", problems)
    for channel, reply in zip(channels, replies, strict=True):
        if reply is not None and code_of(reply) == "WRONGTYPE":
            raise ServerRefusedError(
                f"the key of channel {channel} is not a stream; choose another prefix, or delete that key"
            )
        if reply is not None:
            raise server_error(reply, link.place) from None


async def _claim_at(
    link: RedisLink, keys: Sequence[str], targets: Sequence[Target], seconds: float
) -> list[Exception | None]:
    calls = [("1", key, str(target.partitions)) for key, target in zip(keys, targets, strict=True)]
    answers = await link.eval_each(CLAIM, calls, seconds=seconds)
    return [_disagreement(target, answer, link.place) for target, answer in zip(targets, answers, strict=True)]


def _disagreement(target: Target, answer: Reply, place: str) -> Exception | None:
    if isinstance(answer, NoReplyError):
        return NoReplyError(answer, sent=False, place=place)  # no event was in the call
    if isinstance(answer, RedisError):
        return answer
    layout: str = answer.decode()
    return None if layout == str(target.partitions) else layout_problem(target, layout, place)


def _denies_keys(reply: Reply) -> bool:
    """Return whether the user may run the script, but not with these keys."""
    return isinstance(reply, RedisError) and code_of(reply) == "NOPERM" and "permissions to run" not in str(reply)


class BatchScript:
    """Calls the script that adds batches; claims what it says is unclaimed, and explains what it says is wrong."""

    def __init__(self, link: RedisLink, *, prefix: str) -> None:
        """Call it through `link`, for streams whose keys begin with `prefix`."""
        self._link = link
        self._prefix = prefix
        self._unindexed: set[str] = set()

    async def replies(
        self, targets: Sequence[str], calls: Sequence[Arguments], confirm: Confirm | None, *, seconds: float
    ) -> list[Reply]:
        """Call the script for each target, and return one reply each, within about `seconds`.

        With `confirm`, so many replicas are waited for, and the replies are `Confirmed`. An error of the server, a
        `NoReplyError` and a `ConfigurationError` are replies too; only cancellation raises.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        replies = await self._call_indexing(targets, calls, confirm, seconds)
        codes = {
            index: str(reply).partition(" ")[0] for index, reply in enumerate(replies) if isinstance(reply, RedisError)
        }
        for index in [index for index, code in codes.items() if code == "LAYOUT"]:
            layout = str(replies[index]).split(" ")[1]
            replies[index] = layout_problem(parse_target(targets[index]), layout, self._link.place)
        asked = [index for index, code in codes.items() if code in ("UNCLAIMED", "WRONGTYPE")]
        if not asked:
            return replies
        left = deadline - asyncio.get_running_loop().time()
        claimed = await claim(self._link, [parse_target(targets[index]) for index in asked], self._prefix, seconds=left)
        again = []
        for index, problem in zip(asked, claimed, strict=True):
            if isinstance(problem, ConfigurationError) or (problem is not None and codes[index] == "UNCLAIMED"):
                replies[index] = problem
            elif codes[index] == "UNCLAIMED":
                again.append(index)
        left = deadline - asyncio.get_running_loop().time()
        repeated = await self._call([calls[index] for index in again], confirm, left)
        for index, reply in zip(again, repeated, strict=True):
            replies[index] = reply
        return replies

    async def _call_indexing(
        self, targets: Sequence[str], calls: Sequence[Arguments], confirm: Confirm | None, seconds: float
    ) -> list[Reply]:
        """Call the script, once more without the index where the user may not touch its keys, and so from then on."""
        deadline = asyncio.get_running_loop().time() + seconds
        made = [
            (target in self._unindexed and without_index(call)) or call
            for target, call in zip(targets, calls, strict=True)
        ]
        replies = await self._call(made, confirm, seconds)
        for index, reply in enumerate(replies):
            if _denies_keys(reply) and (call := without_index(made[index])):
                left = deadline - asyncio.get_running_loop().time()
                (replies[index],) = await self._call([call], confirm, left)
                self._unindexed.add(targets[index])
        return replies

    async def _call(self, calls: Sequence[Arguments], confirm: Confirm | None, seconds: float) -> list[Reply]:
        if confirm is None:
            return await self._link.eval_each(PUBLISH_BATCH, calls, seconds=seconds)
        return await self._link.eval_each_confirmed(PUBLISH_BATCH, calls, confirm=confirm, seconds=seconds)
