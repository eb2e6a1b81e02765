"""A project to try commands on."""

import shutil
from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import make_project, run


@pytest.fixture(scope="session")
def new_clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as the commands leave it; tests get copies, because making it takes longer than most of them."""
    folder = tmp_path_factory.mktemp("new") / "clinic"
    make_project(folder)
    for arguments in (["service", "coding"], ["service", "valuation"], ["event", "coding", "stay", "coded", "id:str"]):
        assert run(folder, *arguments).exit_code == 0
    return folder


@pytest.fixture
def clinic(new_clinic: Path, tmp_path: Path) -> Path:
    """A project with two services, of which coding publishes that a stay was coded."""
    return shutil.copytree(new_clinic, tmp_path / "clinic")
