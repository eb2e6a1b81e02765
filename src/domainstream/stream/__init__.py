"""Out of Redis: consumer groups that read channels, and the dead letters of what cannot be read.

Here belongs what knows streams, entries and groups. What an entry means, and which queue it goes to, must not: that is
decided to the right. Before: `domainstream.publisher`, across Redis. Next stage: `domainstream.queue`.
"""

from domainstream.retrying import Backoff
from domainstream.stream.dead_letters.redrive import RedisDeadLetterRedrive
from domainstream.stream.dead_letters.store import RedisDeadLetters
from domainstream.stream.maintenance.eviction import check_eviction, check_eviction_at
from domainstream.stream.maintenance.idle_consumers import RedisIdleConsumers
from domainstream.stream.maintenance.trimmer import RedisStreamJanitor
from domainstream.stream.memory.dead_letters import MemoryDeadLetterRedrive, MemoryDeadLetters
from domainstream.stream.memory.reader import MemoryStreamReader
from domainstream.stream.memory.streams import MemoryStreams
from domainstream.stream.port import (
    BuriedLetter,
    DeadLetter,
    DeadLetterRedrive,
    DeadLetters,
    Delivery,
    Loss,
    Redriven,
    StreamReader,
    Upkeep,
)
from domainstream.stream.reader.redis_stream_reader import RedisStreamReader
from domainstream.stream.reader.stats import OnLoss, ReaderCounts
from domainstream.stream.settings import ReaderSettings
from domainstream.stream.state import ConsumerState, GroupState, PendingEntry, StreamState

__all__ = [
    "Backoff",
    "BuriedLetter",
    "ConsumerState",
    "DeadLetter",
    "DeadLetterRedrive",
    "DeadLetters",
    "Delivery",
    "GroupState",
    "Loss",
    "MemoryDeadLetterRedrive",
    "MemoryDeadLetters",
    "MemoryStreamReader",
    "MemoryStreams",
    "OnLoss",
    "PendingEntry",
    "ReaderCounts",
    "ReaderSettings",
    "RedisDeadLetterRedrive",
    "RedisDeadLetters",
    "RedisIdleConsumers",
    "RedisStreamJanitor",
    "RedisStreamReader",
    "Redriven",
    "StreamReader",
    "StreamState",
    "Upkeep",
    "check_eviction",
    "check_eviction_at",
]
