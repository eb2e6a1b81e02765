"""A network of its own for a process and the servers that it starts, which can be cut in two.

Stopping a process is no partition: its connections stay open, and it answers later. Here packets between the two sides
vanish, as between two data centers, while each side goes on.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CLIENT: Final = "10.77.9.1"
"""The address from which the process itself connects to any other."""

_TABLE: Final = "66"


def problem() -> str | None:
    """Return why this machine cannot give a process a network of its own, or None."""
    if os.geteuid() != 0:
        return "a network of its own takes root"
    missing = [name for name in ("unshare", "ip") if shutil.which(name) is None]
    if missing:
        return f"it takes the programs unshare and ip; missing: {', '.join(missing)}"
    if not Path("/dev/net/tun").exists():
        return "it takes a tun device, and /dev/net/tun does not exist"
    script = "ip tuntap add dev tun0 mode tun && ip link set tun0 up && ip rule add pref 100 lookup local"
    tried = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False)
    return f"unshare -n does not work here: {tried.stderr.strip()}" if tried.returncode else None


def open_network(hosts: Sequence[str]) -> None:
    """Give this process, which runs under `unshare -n`, addresses that reach each other.

    It connects to `hosts` as `CLIENT`.
    """
    _ip("link", "set", "lo", "up")
    for host in (CLIENT, *hosts):
        _ip("addr", "add", f"{host}/32", "dev", "lo")
    for host in hosts:
        _ip("route", "replace", "local", host, "dev", "lo", "table", "local", "src", CLIENT)
    # Rules for cuts must come before the table of local addresses, which is asked first otherwise.
    _ip("rule", "add", "pref", "100", "lookup", "local")
    _ip("rule", "del", "pref", "0")
    # Nobody reads this device. A route that rejects packets would let connections fail at once.
    _ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    _ip("link", "set", "tun0", "up")
    _ip("route", "add", "default", "dev", "tun0", "table", _TABLE)


def cut(one_side: Sequence[str], other_side: Sequence[str]) -> None:
    """Let packets between two sides vanish."""
    _rules("add", one_side, other_side)


def join(one_side: Sequence[str], other_side: Sequence[str]) -> None:
    """Let them arrive again."""
    _rules("del", one_side, other_side)


def _rules(action: str, one_side: Sequence[str], other_side: Sequence[str]) -> None:
    pairs = [(one, other) for one in one_side for other in other_side]
    for source, target in [*pairs, *((other, one) for one, other in pairs)]:
        _ip("rule", action, "pref", "10", "from", source, "to", target, "lookup", _TABLE)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
