"""Which `Tracing` is in use: OpenTelemetry's where its API is installed, unless the application says otherwise."""

import os
import re
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Final

from domainstream.telemetry.spans import INSTRUMENTATIONS_OFF
from domainstream.telemetry.tracing import NoTracing, Tracing

NO_TRACING: Final = NoTracing()
"""Records nothing."""

OLDEST_API: Final = (1, 30)
"""The version of OpenTelemetry's API from which on it has what we use of it."""

_in_use: Tracing | None = None


def tracing() -> Tracing:
    """Return what records the spans and metrics of this process."""
    return _in_use or set_tracing(None)


def set_tracing(given: Tracing | None) -> Tracing:
    """Record all spans and metrics by `given` from now on, `NO_TRACING` for none at all, and return it.

    None is what holds by itself: OpenTelemetry's API, from version 1.30 on, if it can be imported, unless the
    environment variable `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` lists `domainstream`.
    """
    global _in_use  # noqa: PLW0603 - as OpenTelemetry itself has it: one for the process
    _in_use = given or _found()
    return _in_use


def current_ids() -> tuple[str, str] | None:
    """Return the ids of the current trace and span, as log records have them; None if there is no current span."""
    context = tracing().context()
    if context is None:
        return None
    _, trace_id, span_id, _ = context["traceparent"].split("-")
    return trace_id, span_id


def _found() -> Tracing:
    disabled = os.environ.get(INSTRUMENTATIONS_OFF, "").split(",")
    if "domainstream" in (name.strip() for name in disabled) or not _is_installed():
        return NO_TRACING
    # Here and not above: who only defines events must not load it.
    found: Tracing = import_module("domainstream.telemetry.otel").OpenTelemetryTracing()
    return found


def _is_installed() -> bool:
    """Return whether OpenTelemetry's API is there: other packages share its first name, or need an older one."""
    try:
        if find_spec("opentelemetry.trace") is None:
            return False
        installed = re.match(r"(\d+)\.(\d+)", version("opentelemetry-api"))
    except ModuleNotFoundError:  # of the module, or of what says its version
        return False
    return installed is not None and (int(installed[1]), int(installed[2])) >= OLDEST_API
