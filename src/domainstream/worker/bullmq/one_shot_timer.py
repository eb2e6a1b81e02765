"""A time at which to look again."""

import asyncio
from collections.abc import Callable


class OneShotTimer:
    """Calls a function at the earliest of the times it was set to; then it can be set anew. For one event loop."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """Call `ring`."""
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring after so many seconds, or earlier if it was set so before."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > loop.time() + seconds:
            self.cancel()
            self._timer = loop.call_later(seconds, self._go_off)

    def cancel(self) -> None:
        """Ring no more, unless it is set anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_off(self) -> None:
        self._timer = None
        self._ring()
