"""The scripts of the BullMQ package that this version was tested with."""

import pytest

from domainstream.worker.bullmq.scripts import FILES, bullmq_script, round_trip_script

KNOWN = {
    "extendLocks": "c35baf769e5dc3d9194b2bceca04ab59f7c510f7",
    "moveJobFromActiveToWait": "2f746a769bc3d182a0f73ace6bb7a4906faf5df9",
    "moveStalledJobsToWait": "1e9bb7deb6219644a634d32c430ce15ed39a377e",
    "moveToActive": "d96ca626f1ea141b44a856b312fc636d99aa9ea9",
    "moveToDelayed": "9f83944d6edafd63c74121d73299dd3358ddfe0c",
    "moveToFinished": "69666e69dd5621df59067a03de685e55a486560d",
    "retryJob": "812d06de3eaf0fb70e333b3d0142eed8bf630a2d",
    "updateProgress": "e992d1814b869c8def8e67ef117b3ed2cc95771f",
}


@pytest.mark.parametrize("name", FILES)
def test_script_is_the_one_that_was_tested(name: str) -> None:
    """A release of the package that changes a script must be tested before it is used."""
    assert bullmq_script(name).sha == KNOWN[name]


def test_round_trip_contains_the_scripts_that_it_calls() -> None:
    """Each script of BullMQ replaces the comment with its name."""
    text = round_trip_script().text
    for name in ("moveToActive", "moveToFinished", "moveToDelayed", "retryJob", "moveJobFromActiveToWait"):
        assert bullmq_script(name).text in text
        assert f"--[[{name}]]" not in text
