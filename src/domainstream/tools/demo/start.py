"""Starts a run and turns what it comes to into output and an exit code."""

import asyncio
import sys
from typing import Final

import msgspec

from domainstream.errors import ConfigurationError, DomainStreamError, ServerNotFoundError, ServerUnavailableError
from domainstream.tools.demo.outcome import DemoOutcome
from domainstream.tools.demo.run import run_demo
from domainstream.tools.demo.screen import DemoScreen
from domainstream.tools.demo.settings import DemoSettings
from domainstream.tools.signals import InterruptedRunError

SUCCESS: Final = 0
FAILURE: Final = 1
WRONG_USAGE: Final = 2
NO_SERVER: Final = 3
SIGNAL_BASE: Final = 128
"""Shells report the end by a signal as this plus its number: 130 for Ctrl-C."""

_EXIT_CODES: Final = {
    ServerNotFoundError: NO_SERVER,
    ServerUnavailableError: NO_SERVER,
    ConfigurationError: WRONG_USAGE,
}


def start_demo(settings: DemoSettings, *, as_json: bool, no_color: bool) -> int:
    """Run the demo, print what it came to, and return the exit code. With `as_json`, stdout gets one object only."""
    screen = DemoScreen(no_color=no_color, stderr=as_json)
    try:
        with screen:
            outcome = asyncio.run(run_demo(settings, screen))
    except InterruptedRunError as interrupt:
        screen.warn("Interrupted; everything is cleaned up.")
        return SIGNAL_BASE + interrupt.signal_number
    except DomainStreamError as error:
        screen.warn(str(error))
        return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILURE)
    _print(outcome, screen, as_json=as_json)
    return FAILURE if outcome.problems else SUCCESS


def _print(outcome: DemoOutcome, screen: DemoScreen, *, as_json: bool) -> None:
    if not as_json:
        screen.summarise(outcome)
        return
    sys.stdout.write(f"{msgspec.json.encode(outcome).decode()}\n")
    for problem in outcome.problems:
        screen.warn(problem)
