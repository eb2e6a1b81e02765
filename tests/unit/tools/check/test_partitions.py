"""Partitions of channels: what `check` reads of them, and that a change of their number is a breaking one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.checking import CHANNELS, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check import check_project

CONTRACT = "contracts/coding.json"
NAME = "DOMAIN_CODING_STAY_CREATED"


def channels(partitions: str, before: str = "") -> dict[str, str]:
    """Return the file of channels, whose class has these partitions; `before` stands above it."""
    return {
        CHANNELS: f"from domainstream import EventPublisherChannel\n\n{before}\n\n"
        f"class Channel(EventPublisherChannel, partitions={partitions}):\n"
        f'    {NAME} = "{NAME.lower()}"\n'
    }


def snapshot(root: Path, *options: str) -> Result:
    """Run `domainstream schema snapshot`."""
    return CliRunner().invoke(cli, ["schema", "snapshot", str(root), *options])


def found(root: Path) -> list[tuple[str, str]]:
    """Return the codes and messages of what is wrong."""
    return [(finding.code, finding.message) for finding in check_project(root)]


@pytest.mark.parametrize(
    ("partitions", "before"),
    [(f'{{"{NAME}": 8}}', ""), ("PARTITIONS", f'PARTITIONS = {{"{NAME}": 8}}'), (f'{{"{NAME}": 0x8}}', "")],
)
def test_contract_has_the_number(tmp_path: Path, partitions: str, before: str) -> None:
    """The contract file says how many partitions the channel has, given as a literal or by the name of one."""
    write_system(tmp_path, small_system() | channels(partitions, before))
    assert found(tmp_path) == []
    assert snapshot(tmp_path).exit_code == 0
    written = json.loads((tmp_path / CONTRACT).read_text(encoding="utf-8"))
    assert written["events"]["domain_coding_stay_created"]["partitions"] == 8
    assert found(tmp_path) == []


def test_contract_of_one_stream_says_nothing(tmp_path: Path) -> None:
    """The files of channels without partitions are what they were, and one partition is none."""
    write_system(tmp_path, small_system())
    snapshot(tmp_path)
    before = (tmp_path / CONTRACT).read_bytes()
    assert b"partitions" not in before
    write_system(tmp_path, channels(f'{{"{NAME}": 1}}'))
    assert found(tmp_path) == []
    assert snapshot(tmp_path, "--check").exit_code == 0
    assert (tmp_path / CONTRACT).read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{}", f'{{"{NAME}": 8}}', "had 1 partition and has 8 partitions"),
        (f'{{"{NAME}": 8}}', "{}", "had 8 partitions and has 1 partition"),
        (f'{{"{NAME}": 8}}', f'{{"{NAME}": 9}}', "had 8 partitions and has 9 partitions"),
    ],
)
def test_change_of_the_number_breaks(tmp_path: Path, before: str, after: str, message: str) -> None:
    """A channel with another number of partitions than in its snapshot is found, and only written with `--accept`."""
    write_system(tmp_path, small_system() | channels(before))
    snapshot(tmp_path)
    write_system(tmp_path, channels(after))
    assert found(tmp_path) == [("DS613", f"{NAME} {message}, which moves events to other streams")]
    refused = snapshot(tmp_path)
    assert refused.exit_code == 1
    assert f"{NAME} {message}" in refused.output
    assert snapshot(tmp_path, "--accept").exit_code == 0
    assert found(tmp_path) == []


@pytest.mark.parametrize("partitions", ["dict(DOMAIN_CODING_STAY_CREATED=8)", f'{{"{NAME}": COUNT}}', "8"])
def test_number_that_cannot_be_read(tmp_path: Path, partitions: str) -> None:
    """Partitions that only running the code gives are reported, and the snapshot is not held against them."""
    write_system(tmp_path, small_system() | channels(f'{{"{NAME}": 8}}'))
    snapshot(tmp_path)
    write_system(tmp_path, channels(partitions))
    assert found(tmp_path) == [("DS109", "partitions= cannot be read")]
    assert snapshot(tmp_path, "--check").exit_code == 0


@pytest.mark.parametrize(
    "partitions", [f'{{"{NAME}": 0}}', f'{{"{NAME}": "8"}}', f'{{"{NAME}": True}}', '{"OTHER": 2}']
)
def test_number_that_start_up_refuses(tmp_path: Path, partitions: str) -> None:
    """What the class itself would refuse is found without importing it."""
    write_system(tmp_path, small_system() | channels(partitions))
    assert [code for code, _ in found(tmp_path)] == ["DS109"]
