"""A project to try commands on."""

from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import make_project, run


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A project with two services, of which coding publishes that a stay was coded."""
    folder = tmp_path / "clinic"
    make_project(folder)
    for arguments in (["service", "coding"], ["service", "valuation"], ["event", "coding", "stay", "coded", "id:str"]):
        assert run(folder, *arguments).exit_code == 0
    return folder
