"""`domainstream new project`: a system without services."""

from pathlib import Path
from typing import Final

from domainstream.tools.check.settings import SETTINGS_FILE, nearest_system
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.rendering import create_all

_WORKSPACE: Final = "pyproject.toml"


def plan_project(folder: Path) -> Plan:
    """Return the plan of a project in `folder`; in an existing project, only missing files are made.

    Raises `RefusedError` for a folder of another workspace, or inside of another project.
    """
    plan = Plan(folder.resolve())
    above = nearest_system(plan.root.parent)
    if (above / SETTINGS_FILE).is_file():
        problem = f"it lies in the project {above}, whose commands would include it; choose a folder outside"
        raise RefusedError(f"{plan.root} cannot hold a new project:", [problem])
    if plan.exists(_WORKSPACE) and not plan.exists(SETTINGS_FILE):
        problem = f"{_WORKSPACE} exists without {SETTINGS_FILE}; choose another folder, or move the file away"
        raise RefusedError(f"{plan.root} cannot hold a new project:", [problem])
    create_all(plan, "project", ".", {"contracts"}, {"project": plan.root.name})
    return plan
