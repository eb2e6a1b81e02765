"""The static analyser behind `domainstream check`: finds mistakes in a system without importing or running its code.

`settings` say where the parts of a system are, `project` reads them into the `model` by way of `reading`, and `engine`
runs each of the `rules` on it and drops findings that a comment ignores. `formats` writes the rest, `fixing`
fixes what it can. `snapshots` keeps payloads as they were, for the rules of the contract.
"""

from domainstream.tools.check.engine import check_project
from domainstream.tools.check.findings import Finding, Location
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.settings import CheckSettings, read_settings

__all__ = ["CheckSettings", "Finding", "Location", "Project", "check_project", "read_project", "read_settings"]
