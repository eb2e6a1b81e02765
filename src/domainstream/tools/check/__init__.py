"""`domainstream check`: what a system's files prove about it, without importing them.

`settings` say where its parts lie, `read_project` reads them into a `Project`, and each rule is a function from that to
findings. Pure but for reading files.
"""

from domainstream.tools.check.engine import check_project
from domainstream.tools.check.findings import Finding, Place
from domainstream.tools.check.model.base import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.settings import CheckSettings, read_settings

__all__ = ["CheckSettings", "Finding", "Place", "Project", "check_project", "read_project", "read_settings"]
