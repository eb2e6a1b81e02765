"""`domainstream new project`: a system without services yet."""

from pathlib import Path
from typing import Final

from domainstream.tools.check.settings import SETTINGS_FILE, nearest_system
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.rendering import create_all

_WORKSPACE: Final = "pyproject.toml"


def plan_project(folder: Path) -> Plan:
    """Return the plan of a project in `folder`; of one that is there already, what it lacks is made.

    Raises `RefusedError` where there is another project, also one above it.
    """
    plan = Plan(folder.resolve())
    above = nearest_system(plan.root.parent)
    if (above / SETTINGS_FILE).is_file():
        problem = f"it lies in the project {above}, whose commands would take it for a part; choose a folder outside"
        raise RefusedError(f"{plan.root} is no place for a new project:", [problem])
    if plan.exists(_WORKSPACE) and not plan.exists(SETTINGS_FILE):
        problem = f"{_WORKSPACE} is there, and no {SETTINGS_FILE}; choose another folder, or move it away"
        raise RefusedError(f"{plan.root} is no place for a new project:", [problem])
    create_all(plan, "project", ".", {"contracts"}, {"project": plan.root.name})
    return plan
