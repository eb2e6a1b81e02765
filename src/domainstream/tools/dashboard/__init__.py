"""The dashboard: what the commands show, as pages for a browser.

`Dashboard` is an ASGI app; `domainstream ui` serves it. Pages are rendered on the server from the same facts as the
commands. They work without JavaScript, and load nothing from elsewhere.
"""

try:
    import starlette  # noqa: F401 - an extra
except ImportError:
    from domainstream.errors import MissingExtraError

    raise MissingExtraError("The dashboard", "ui") from None

from domainstream.tools.dashboard.app import Dashboard
from domainstream.tools.dashboard.settings import AccessSettings, DashboardSettings

__all__ = ["AccessSettings", "Dashboard", "DashboardSettings"]
