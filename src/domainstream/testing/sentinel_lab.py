"""A primary, its replicas and their sentinels on one machine, for tests of failovers."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from domainstream.errors import ServerRefusedError
from domainstream.redis.topology import Address
from domainstream.testing.embedded_server import HOST
from domainstream.testing.server_lab import START_TIMEOUT, LabNode, ServerLab, free_port, wait_until

PRIMARY_NAME: Final = "mymaster"

_ATTEMPTS: Final = 3
_ATTEMPT: Final = timedelta(seconds=10)


class SentinelLab(ServerLab):
    """A primary with replicas and sentinels on free ports of 127.0.0.1, which keep no data on disk.

    ::

        with SentinelLab() as lab:
            client = RedisStreamPublisherClient.from_url(lab.url)
            lab.primary().kill()

    It answers after about two seconds. A killed primary that is started again before a replica has taken over has lost
    its data.
    """

    def __init__(
        self,
        replicas: int = 2,
        sentinels: int = 3,
        *,
        binary: Path | None = None,
        down_after: timedelta = timedelta(seconds=1),
        options: Sequence[str] = (),
        within: Path | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        """Prepare a primary with `replicas`, and `sentinels`.

        A primary that does not answer for `down_after` is replaced once more than half of the sentinels miss it.
        `options` are further arguments of each server's command line; files lie in a folder `within` another one.
        `hosts` are addresses of this machine, one for each node: the primary, its replicas, the sentinels. Raises
        `ServerNotFoundError` without a server program.
        """
        super().__init__(binary, within)
        self._replicas = replicas
        self._sentinels = sentinels
        self._down_after = down_after
        self._hosts = hosts or (HOST,) * (1 + replicas + sentinels)
        self._options = ("--repl-diskless-sync-delay", "0", *options)
        self.servers: Sequence[LabNode] = ()
        """The primary that was there at first, and its replicas."""
        self.sentinels: Sequence[LabNode] = ()
        """The processes that watch them."""

    @property
    def url(self) -> str:
        """Where clients find it, as `redis+sentinel://127.0.0.1:port,.../mymaster`, with every sentinel."""
        return f"redis+sentinel://{','.join(str(node.address) for node in self.sentinels)}/{PRIMARY_NAME}"

    def primary(self) -> LabNode:
        """Return the server that a sentinel which answers takes for the primary."""
        sentinel = next(node for node in self.sentinels if node.answers)
        host, port = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY_NAME)
        return next(node for node in self.servers if node.address == Address(host, int(port)))

    def wait_for_another(self, than: LabNode, timeout: timedelta = START_TIMEOUT) -> LabNode:
        """Wait until all sentinels that answer name another primary, and it says so itself; return it.

        Raises `TimeoutError`.
        """
        wait_until(lambda: self._agree_on_another(than), "another primary", timeout)
        return self.primary()

    def fail_over(self, *, coordinated: bool = False) -> LabNode:
        """Make a replica the primary, as for maintenance; return it as soon as the sentinels name it.

        The old primary takes writes until it is demoted, about ten seconds later; `coordinated`, which Valkey 9 can,
        stops it first.
        """
        before = self.primary()
        sentinel = next(node for node in self.sentinels if node.answers)
        command = ("SENTINEL", "FAILOVER", PRIMARY_NAME, *(("COORDINATED",) if coordinated else ()))
        sentinel.command(*command)
        for _ in range(_ATTEMPTS - 1):
            with suppress(TimeoutError):
                return self.wait_for_another(before, _ATTEMPT)
            with suppress(ServerRefusedError):  # it is still at it
                sentinel.command(*command)  # a sentinel gives up when the replica is slow
        return self.wait_for_another(before)

    def wait_ok(self, timeout: timedelta = START_TIMEOUT) -> None:
        """Wait until every server that answers is the primary or follows it; raises `TimeoutError`.

        A server that was started again is made a replica after about ten seconds, and then gets all data.
        """
        wait_until(self._is_ok, "replicas that follow the primary", timeout)

    def _agree_on_another(self, than: LabNode) -> bool:
        answers = {
            tuple(node.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY_NAME))
            for node in self.sentinels
            if node.answers
        }
        is_another = len(answers) == 1 and self.primary() is not than
        return is_another and bool(self.primary().info("replication")["role"] == "master")

    def _is_ok(self) -> bool:
        primary = self.primary()
        for node in self.servers:
            if node is not primary and node.answers:
                known = node.info("replication")
                if known.get("master_port") != primary.address.port or known["master_link_status"] != "up":
                    return False
        return bool(primary.info("replication")["role"] == "master")

    def _prepare(self, folder: Path) -> None:
        first, *others = self._hosts[: 1 + self._replicas]
        primary = self.make_node(free_port(), folder / "0", self.binary, self._options, host=first)
        follow = ("--replicaof", primary.address.host, str(primary.address.port))
        self.servers = [primary] + [
            self.make_node(free_port(), folder / str(index + 1), self.binary, (*self._options, *follow), host=host)
            for index, host in enumerate(others)
        ]
        down_after = round(self._down_after.total_seconds() * 1000)
        config = (
            f"sentinel monitor {PRIMARY_NAME} {' '.join(follow[1:])} {self._sentinels // 2 + 1}\n"
            f"sentinel down-after-milliseconds {PRIMARY_NAME} {down_after}\n"
            f"sentinel failover-timeout {PRIMARY_NAME} 3000\n"
        )
        self.sentinels = [
            self.make_node(
                free_port(), folder / f"sentinel-{index}", self.binary, ("--sentinel",), config=config, host=host
            )
            for index, host in enumerate(self._hosts[1 + self._replicas :])
        ]
        self.nodes = [*self.servers, *self.sentinels]

    def _join(self) -> None:
        wait_until(lambda: all(map(self._sees_all, self.sentinels)), "sentinels that know each other")
        self.wait_ok()

    def _sees_all(self, sentinel: LabNode) -> bool:
        flat = sentinel.command("SENTINEL", "MASTER", PRIMARY_NAME)
        known = dict(zip(flat[::2], flat[1::2], strict=True))
        return (known["num-slaves"], known["num-other-sentinels"]) == (str(self._replicas), str(self._sentinels - 1))
