"""Out of Redis: consumer groups that read channels, and the dead letters of what cannot be read.

Here belongs what knows streams, entries and groups. What an entry means, and which queue it goes to, must not: that is
decided to the right. Before: `domainstream.publisher`, across Redis. Next stage: `domainstream.queue`.
"""

from domainstream.stream.backoff import Backoff
from domainstream.stream.memory_dead_letters import MemoryDeadLetterRedrive, MemoryDeadLetters
from domainstream.stream.memory_stream import MemoryStreams
from domainstream.stream.memory_stream_reader import MemoryStreamReader
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
from domainstream.stream.reader_journal import OnLoss, ReaderCounts
from domainstream.stream.reader_settings import ReaderSettings
from domainstream.stream.redis_dead_letter_redrive import RedisDeadLetterRedrive
from domainstream.stream.redis_dead_letters import RedisDeadLetters
from domainstream.stream.redis_eviction_check import check_eviction, check_eviction_at
from domainstream.stream.redis_idle_consumers import RedisIdleConsumers
from domainstream.stream.redis_stream_janitor import RedisStreamJanitor
from domainstream.stream.redis_stream_reader import RedisStreamReader
from domainstream.stream.stream_facts import ConsumerState, GroupState, PendingEntry, StreamState

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
