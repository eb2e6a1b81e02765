"""A network that is cut in two: what the primary on the smaller side confirmed is there when it is one again.

The publisher is on the side of the old primary, which goes on for a while, or until the end, as if nothing had changed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults import network
from faults.children import partition
from faults.conftest import Report
from faults.sizes import Size

from domainstream.testing import ServerBinary

TESTS = Path(__file__).parents[1]
TIMEOUT = 180


@pytest.fixture(autouse=True)
def _possible(size: Size) -> None:
    """Skip where a cut takes too long, or the machine cannot make one."""
    if not size.strict:
        pytest.skip("a cut takes 10 to 20 seconds; `make faults` makes some")
    if problem := network.problem():
        pytest.skip(problem)


def over_a_partition(kind: str, binary: ServerBinary, confirm: str) -> dict[str, float]:
    """Cut a primary off, in a process with a network of its own; return what was promised, and lost."""
    command = ["unshare", "-n", sys.executable, partition.__file__, kind, str(binary.path), confirm]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def text_of(rounds: list[dict[str, float]]) -> str:
    """Return the figures of some partitions as text."""
    return "; ".join(
        f"cut off for {each['seconds']} s: {each['promised while cut off']} messages promised meanwhile, "
        f"{each['uncertain']} uncertain, {each['lost']} of {each['promised']} lost"
        for each in rounds
    )


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_confirmed_messages_survive_a_partition(binary: ServerBinary, kind: str, size: Size, report: Report) -> None:
    """What all replicas confirmed is there, once and in order, after a partition that they won."""
    rounds = [over_a_partition(kind, binary, "all") for _ in range(size.partitions)]
    report(text_of(rounds))
    assert [each["lost"] for each in rounds] == [0] * size.partitions


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_control_partition_without_waiting(binary: ServerBinary, kind: str, size: Size, report: Report) -> None:
    """Control: what the old primary acknowledges by itself is lost when the network is one again."""
    rounds = [over_a_partition(kind, binary, "none") for _ in range(size.partitions)]
    report(text_of(rounds))
    assert all(each["lost"] for each in rounds)
