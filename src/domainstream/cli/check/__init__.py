"""`domainstream check`: what a system's files prove about it, without importing them.

`settings` say where its parts lie, `read_project` reads them into a `Project`, and each rule is a function from that to
findings. Pure but for reading files.
"""

from domainstream.cli.check.checking import check_project
from domainstream.cli.check.findings import Finding, Place
from domainstream.cli.check.model import Project
from domainstream.cli.check.project import read_project
from domainstream.cli.check.settings import CheckSettings, read_settings

__all__ = ["CheckSettings", "Finding", "Place", "Project", "check_project", "read_project", "read_settings"]
