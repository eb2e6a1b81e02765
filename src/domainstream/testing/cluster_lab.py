"""A Redis Cluster on one machine, for tests of failovers and of slots that move."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from domainstream.errors import ServerRefusedError
from domainstream.testing.embedded_server import HOST
from domainstream.testing.server_lab import BUS_OFFSET, START_TIMEOUT, LabNode, ServerLab, free_port, wait_until

SLOTS: Final = 16_384

_FAILOVER_ENDS: Final = 6.0
"""Seconds until a failover that did not get its votes is asked for again; a server gives it up after 5."""

_MIGRATE_TIMEOUT: Final = 5_000
_NOT_THERE: Final = ("unknown command", "unknown subcommand", "syntax error")


class _View(NamedTuple):
    """What a node says about itself."""

    node: LabNode
    is_primary: bool
    epoch: int
    ranges: Sequence[range]


class ClusterLab(ServerLab):
    """A cluster of a few nodes on free ports of 127.0.0.1, which keep nothing on disk.

    ::

        with ClusterLab(primaries=3, replicas=1) as cluster:
            client = RedisStreamPublisherClient.from_url(cluster.url)
            cluster.primary_of("domain_order_placed").kill()

    It answers after about two seconds, which a primary waits before it calls its cluster ok. A killed primary that is
    started again before its replica has taken over has lost its data.
    """

    def __init__(
        self,
        primaries: int = 3,
        replicas: int = 1,
        *,
        binary: Path | None = None,
        node_timeout: timedelta = timedelta(seconds=2),
        options: Sequence[str] = (),
        within: Path | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        """Prepare `primaries` with as many `replicas` each.

        A node that does not answer for `node_timeout` is replaced by its replica. `options` are further arguments of
        each node's command line; files lie in a folder `within` another one. `hosts` are addresses of this machine, one
        for each node: primaries, then their replicas. Raises `ServerNotFoundError` without a server program.
        """
        super().__init__(binary, within)
        self._primaries = primaries
        self._replicas = replicas
        self._options = (
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
            *("--cluster-node-timeout", str(round(node_timeout.total_seconds() * 1000))),
            *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
            *options,
        )
        self._hosts = hosts or (HOST,) * (primaries * (1 + replicas))
        self._ids: dict[str, LabNode] = {}

    @property
    def url(self) -> str:
        """Where clients find it, as `redis+cluster://127.0.0.1:port,...`, with every node."""
        return f"redis+cluster://{','.join(str(node.address) for node in self.nodes)}"

    def primary_of(self, key: str) -> LabNode:
        """Return the node that has a key, as far as the nodes that answer know."""
        return self._owner(self.slot_of(key))

    def replica_of(self, node: LabNode) -> LabNode:
        """Return a node that answers and follows `node`; raises `LookupError` without one."""
        names = {one: name for name, one in self._ids.items()}
        for one in self._answering():
            if names[node] in _own_line(one)[3]:
                return one
        raise LookupError(f"no replica of {node.address} answers")

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(self._answering()[0].command("CLUSTER", "KEYSLOT", key))

    def wait_ok(self, timeout: timedelta = START_TIMEOUT) -> None:
        """Wait until the nodes that answer call the cluster ok, and replicas follow; raises `TimeoutError`."""
        wait_until(lambda: all(map(_is_ok, self._answering())), "a cluster that is ok", timeout)

    def fail_over(self, key: str) -> LabNode:
        """Make the replica of a key's primary the primary, as for maintenance; return it.

        Needs a primary that answers; if it is dead, the cluster fails over by itself.
        """
        slot = self.slot_of(key)
        replica = self.replica_of(self._owner(slot))
        replica.command("CLUSTER", "FAILOVER")
        given_up_at = time.monotonic() + _FAILOVER_ENDS

        def is_primary() -> bool:
            nonlocal given_up_at
            if self._owner(slot) is replica:
                return True
            if time.monotonic() >= given_up_at:
                with suppress(ServerRefusedError):  # it has become a primary just now
                    replica.command("CLUSTER", "FAILOVER")
                given_up_at = time.monotonic() + _FAILOVER_ENDS
            return False

        wait_until(is_primary, "the planned failover")
        return replica

    def move_slot(self, slot: int, to: LabNode, *, atomic: bool | None = None, pause: timedelta = timedelta(0)) -> None:
        """Move a slot and its keys to the primary `to`.

        `atomic` moves it in one step, which servers since Valkey 9 can; by default it is used where it is known. Else
        keys move one by one, with a `pause` before each, in which clients get ASK and TRYAGAIN. Raises
        `ServerRefusedError` where the server cannot move it.
        """
        source = self._owner(slot)
        if source is to:
            return
        names = {node: name for name, node in self._ids.items()}
        if atomic is not False and self._migrated(slot, source, names[to], must=bool(atomic)):
            return
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[to])
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 1 if pause else 100):
            time.sleep(pause.total_seconds())
            source.command("MIGRATE", *to.address, "", 0, _MIGRATE_TIMEOUT, "KEYS", *keys)
        time.sleep(pause.total_seconds())
        others = [view.node for view in self._views() if view.is_primary and view.node not in (source, to)]
        for node in (to, source, *others):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", names[to])

    def _migrated(self, slot: int, source: LabNode, target: str, *, must: bool) -> bool:
        """Move a slot in one step; return False where the server cannot, unless it `must`."""
        try:
            source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target)
        except ServerRefusedError as error:
            if must or not any(words in str(error).lower() for words in _NOT_THERE):
                raise
            return False
        to = self._ids[target]
        wait_until(lambda: self._owner(slot) is to, f"the move of slot {slot}")
        return True

    def _prepare(self, folder: Path) -> None:
        self.nodes = [
            self.make_node(
                free_port(bus=True),
                folder / str(index),
                self.binary,
                (*self._options, "--cluster-announce-ip", host),
                host=host,
            )
            for index, host in enumerate(self._hosts)
        ]

    def _join(self) -> None:
        self._ids = {str(node.command("CLUSTER", "MYID")): node for node in self.nodes}
        ids = list(self._ids)
        first, primaries = self.nodes[0], self.nodes[: self._primaries]
        for index, node in enumerate(primaries):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            bounds = [SLOTS * at // self._primaries for at in (index, index + 1)]
            node.command("CLUSTER", "ADDSLOTSRANGE", bounds[0], bounds[1] - 1)
        for node in self.nodes[1:]:
            first.command("CLUSTER", "MEET", *node.address, node.address.port + BUS_OFFSET)
        for index, node in enumerate(self.nodes[self._primaries :]):
            primary = ids[index % self._primaries]
            wait_until(partial(_follows, node, primary), "a replica")
        wait_until(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes), "a complete cluster")
        self.wait_ok()

    def _answering(self) -> list[LabNode]:
        return [node for node in self.nodes if node.answers]

    def _views(self) -> list[_View]:
        views = []
        for node in self._answering():
            line = _own_line(node)
            ranges = [
                range(int(first), int(last or first) + 1)
                for first, _, last in (part.partition("-") for part in line[8:] if not part.startswith("["))
            ]
            views.append(_View(node, "master" in line[2], int(line[6]), ranges))
        return views

    def _owner(self, slot: int) -> LabNode:
        """Return who has a slot: of those who say so, the one that was elected last."""
        owners = [view for view in self._views() if view.is_primary and any(slot in one for one in view.ranges)]
        if not owners:
            raise LookupError(f"no node that answers has slot {slot}")
        return max(owners, key=lambda view: view.epoch).node


def _own_line(node: LabNode) -> list[str]:
    """Return what a node says of itself in CLUSTER NODES: id, address, flags, primary, times, epoch, state, slots."""
    lines = str(node.command("CLUSTER", "NODES")).splitlines()
    return next(line.split() for line in lines if "myself" in line.split()[2])


def _is_ok(node: LabNode) -> bool:
    if "cluster_state:ok" not in str(node.command("CLUSTER", "INFO")):
        return False
    replication = node.info("replication")
    return replication["role"] == "master" or bool(replication["master_link_status"] == "up")


def _follows(node: LabNode, primary: str) -> bool:
    """Make a node a replica; return False while it has not heard of its primary."""
    return bool(node.command("CLUSTER", "REPLICATE", primary) == "OK")


def _knows(node: LabNode, count: int) -> bool:
    return len(str(node.command("CLUSTER", "NODES")).splitlines()) == count
