"""Out of Redis: consumer groups that read channels, and the dead letters of what cannot be decoded.

Here belongs what knows streams, entries and groups. What an entry means, and which queue it goes to, is decided by the
stages to the right.

Before: `domainstream.outbox`, across Redis. Next stage: `domainstream.queue`.
"""

from domainstream.stream.assignment import GroupMembers
from domainstream.stream.dead_letters import RedisDeadLetterRedrive
from domainstream.stream.inspection.server import check_eviction, check_eviction_at
from domainstream.stream.lease import Lease, LeaseHeldError, LeaseLostError
from domainstream.stream.maintenance.trimmer import RedisStreamTrimmer
from domainstream.stream.memory.reader import MemoryStreamReader
from domainstream.stream.memory.streams import MemoryDeadLetterRedrive, MemoryStreams, MemoryWakeUps
from domainstream.stream.port import (
    DeadLetter,
    DeadLetterRedrive,
    Delivery,
    Loss,
    MaintenanceTask,
    ReaderSettings,
    RedriveResult,
    StoredDeadLetter,
    StreamReader,
    Turn,
    WakeUps,
)
from domainstream.stream.reader.reader import RedisStreamReader
from domainstream.stream.reader.stats import OnLoss, ReaderStats
from domainstream.stream.state import ConsumerState, GroupState, PendingEntry, StreamState

__all__ = [
    "ConsumerState",
    "DeadLetter",
    "DeadLetterRedrive",
    "Delivery",
    "GroupMembers",
    "GroupState",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "Loss",
    "MaintenanceTask",
    "MemoryDeadLetterRedrive",
    "MemoryStreamReader",
    "MemoryStreams",
    "MemoryWakeUps",
    "OnLoss",
    "PendingEntry",
    "ReaderSettings",
    "ReaderStats",
    "RedisDeadLetterRedrive",
    "RedisStreamReader",
    "RedisStreamTrimmer",
    "RedriveResult",
    "StoredDeadLetter",
    "StreamReader",
    "StreamState",
    "Turn",
    "WakeUps",
    "check_eviction",
    "check_eviction_at",
]
