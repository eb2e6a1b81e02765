"""Reads streams in memory, in the order in which several instances hand their entries over: the readable reference.

Implements `StreamReader`.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from domainstream.stream.lease import Lease, LeaseHeldError, LeaseLostError
from domainstream.stream.memory.streams import MemoryGroup, MemoryLease, MemoryStreams, Pending
from domainstream.stream.port import (
    NOTHING,
    DeadLetter,
    Loss,
    Read,
    ReaderSettings,
    StoredDeadLetter,
    Turn,
    kept_fields,
)
from domainstream.stream.reader.turns import CONSUMER
from domainstream.stream.state import id_order
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name

DEFAULTS: Final = ReaderSettings()

CLAIMED: Final = f"{CONSUMER}:claimed"
"""Has what consumers of other names left pending: queues may be past these ids without having the jobs."""

SUSPICIOUS: Final = 2
"""An entry that was delivered more often may be what kills its consumers: it is delivered alone."""


class MemoryStreamReader:
    """The `StreamReader` of `MemoryStreams`."""

    def __init__(
        self, streams: MemoryStreams, *, group: str, instance: str = "instance", settings: ReaderSettings = DEFAULTS
    ) -> None:
        """Read `streams` as `instance`, which no other has for its name."""
        self.instance = plain_name(instance)
        """The name of this instance."""
        self.group = plain_name(group)
        """The consumer group."""
        self._streams = streams
        self._settings = settings
        self._known: set[str] = set()

    async def take(self, channel: str, *, least_epoch: int = 0) -> Lease:
        """Take the lease of a channel; see `StreamReader.take`."""
        held = self._streams.leases.setdefault((channel, self.group), MemoryLease())
        now, owner_before, epoch_before, token_before = self._streams.clock(), held.owner, held.epoch, held.token
        if held.owner not in ("", self.instance) and held.until > now:
            raise LeaseHeldError(held.owner, held.until - now)
        is_made = (channel, self.group) not in self._streams.groups
        group = self._streams.groups.setdefault((channel, self.group), MemoryGroup())
        if is_made or not held.token:
            held.token, held.reached = secrets.token_hex(4), {}
        held.owner, held.epoch = self.instance, max(held.epoch + 1, int(now * 1000), least_epoch)
        held.until = now + self._settings.lease.total_seconds()
        if is_made and channel in self._known:
            emit(Signal.STREAM_GROUP_RECREATED, group=self.group, channel=channel)
        self._known.add(channel)
        return Lease(
            epoch=held.epoch,
            last_delivered=group.last_id,
            owner_before=owner_before,
            is_resumed=owner_before == self.instance,
            epoch_before=epoch_before,
            token=held.token,
            token_before=token_before,
            first_pending=min(group.pending, key=id_order, default=""),
            reached=dict(held.reached),
        )

    async def turn(
        self,
        channel: str,
        lease: Lease,
        read: Read,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = 1,
    ) -> Turn:
        """Take a turn at a channel; see `StreamReader.turn`."""
        held = self._held(channel, lease)
        held.reached |= reached
        group = self._streams.groups.get((channel, self.group))
        if read == "release":
            _acknowledge(group or MemoryGroup(), acknowledge)
            held.owner, held.until = "", 0.0
            return Turn(())
        if group is None:
            raise LeaseLostError(f"{channel}: the group {self.group} is gone")
        _acknowledge(group, acknowledge)
        turn = self._read(channel, held, group, read, after, count)
        held.until = self._streams.clock() + self._settings.lease.total_seconds()
        return turn

    async def store_dead(self, channel: str, lease: Lease, letters: Mapping[str, DeadLetter]) -> None:
        """Store dead letters of a channel; see `StreamReader.store_dead`."""
        self._held(channel, lease)
        group = self._streams.groups.get((channel, self.group), MemoryGroup())
        for entry_id, letter in letters.items():
            if group.pending.pop(entry_id, None):
                kept, left_out = kept_fields(letter.delivery.other)
                whole = replace(letter, delivery=replace(letter.delivery, other=kept))
                stored = StoredDeadLetter(self._streams.next_id(), self.group, whole, left_out)
                self._streams.stored_dead_letters.append(stored)

    def _held(self, channel: str, lease: Lease) -> MemoryLease:
        """Return the lease, if it is this instance's still. One that has run out is, until another takes it."""
        held = self._streams.leases[channel, self.group]
        if (held.owner, held.epoch) != (self.instance, lease.epoch):
            raise LeaseLostError(f"{channel}: the lease is of epoch {held.epoch}")
        return held

    def _read(self, channel: str, held: MemoryLease, group: MemoryGroup, read: Read, after: str, count: int) -> Turn:
        match read:
            case "new":
                return self._read_new(channel, held, group, after, count)
            case "pending":
                return self._look_at(channel, group, self._pending(group, CONSUMER, after)[:count])
            case "retry":
                return self._deliver_again(channel, group, CONSUMER, after, count)
            case "claim":
                return self._claim(channel, group, after, count)
            case "look":
                return Turn(self._streams.between(channel, after)[:count])
            case _:
                return Turn(())

    def _read_new(self, channel: str, held: MemoryLease, group: MemoryGroup, after: str, count: int) -> Turn:
        if id_order(group.last_id) < id_order(after):
            held.token = ""  # so that no queue takes what is read again for done
            raise LeaseLostError(f"{channel}: the group was set back to {group.last_id}")
        if self._pending(group, CONSUMER, after):
            raise LeaseLostError(f"{channel}: something was read after {after}")
        loss = self._loss(channel, group)
        unread = self._streams.between(channel, group.last_id)
        for entry in unread[:count]:
            group.pending[entry.entry_id] = Pending(CONSUMER, self._streams.clock())
            group.last_id = entry.entry_id
            group.read += 1
        if len(unread) <= count:  # it has read to the end, whatever was deleted on the way
            group.read = self._streams.removed[channel] + len(self._streams.entries.get(channel, []))
        return Turn(unread[:count], loss=loss)

    def _loss(self, channel: str, group: MemoryGroup) -> Loss | None:
        """Return what was removed before the group could read it. The oldest go first: what was read, before that."""
        unread, is_new = self._streams.between(channel, group.last_id), group.is_new
        lost = self._streams.removed[channel] - group.read
        group.is_new = False
        if lost <= 0 or len(unread) < len(self._streams.entries.get(channel, [])):
            return None
        group.read += lost
        return Loss(channel, self.group, lost, group.last_id, unread[0].entry_id if unread else "", is_new)

    def _pending(self, group: MemoryGroup, consumer: str, after: str) -> list[str]:
        """Return what is pending up to where the group has read: what is beyond comes as new, after it was set back."""
        return [
            entry_id
            for entry_id, pending in group.pending.items()
            if pending.consumer == consumer and id_order(after) < id_order(entry_id) <= id_order(group.last_id)
        ]

    def _look_at(self, channel: str, group: MemoryGroup, ids: Sequence[str]) -> Turn:
        """Return pending entries as they are; those that were deleted are acknowledged."""
        found = {entry_id: self._streams.entry(channel, entry_id) for entry_id in ids}
        deliveries = [
            replace(entry, deliveries=group.pending[entry_id].deliveries) for entry_id, entry in found.items() if entry
        ]
        deleted = [entry_id for entry_id, entry in found.items() if not entry]
        _acknowledge(group, deleted)
        return Turn(deliveries, deleted)

    def _deliver_again(self, channel: str, group: MemoryGroup, consumer: str, after: str, count: int) -> Turn:
        ids = self._pending(group, consumer, after)[:count]
        suspicious = [number for number, each in enumerate(ids) if group.pending[each].deliveries > SUSPICIOUS]
        ids = ids[: max(1, suspicious[0])] if suspicious else ids
        for entry_id in ids:
            pending = group.pending[entry_id]
            pending.since, pending.deliveries = self._streams.clock(), pending.deliveries + 1
        return self._look_at(channel, group, ids)

    def _claim(self, channel: str, group: MemoryGroup, after: str, count: int) -> Turn:
        """Take over what consumers of other names have left, and deliver that."""
        now, idle = self._streams.clock(), self._settings.claim_after.total_seconds()
        for consumer in {pending.consumer for pending in group.pending.values()} - {CONSUMER, CLAIMED}:
            left = [each for each in self._pending(group, consumer, "0-0") if now - group.pending[each].since >= idle]
            for entry_id in left[:count]:
                group.pending[entry_id].consumer = CLAIMED
        return self._deliver_again(channel, group, CLAIMED, after, count)


def _acknowledge(group: MemoryGroup, ids: Sequence[str]) -> None:
    for entry_id in ids:
        group.pending.pop(entry_id, None)
