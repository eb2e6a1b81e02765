"""Out of Redis: consumer groups that read channels, and the dead letters of what cannot be read.

Here belongs what knows streams, entries and groups. What an entry means, and which queue it goes to, must not: that is
decided to the right. Before: `domainstream.publisher`, across Redis. Next stage: `domainstream.queue`.
"""

from domainstream.stream.backoff import Backoff
from domainstream.stream.memory_stream import MemoryDeadLetters, MemoryStreamReader, MemoryStreams
from domainstream.stream.port import DeadLetter, DeadLetters, Delivery, StreamReader
from domainstream.stream.redis_dead_letters import RedisDeadLetters
from domainstream.stream.redis_stream_reader import RedisStreamReader

__all__ = [
    "Backoff",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "MemoryDeadLetters",
    "MemoryStreamReader",
    "MemoryStreams",
    "RedisDeadLetters",
    "RedisStreamReader",
    "StreamReader",
]
