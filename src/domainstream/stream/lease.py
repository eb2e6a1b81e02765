"""The lease of a stream, which lets several instances read it in order.

An **owner** has the lease. Each time it is taken begins an **epoch**, which ends when it is taken again.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from domainstream.errors import DomainStreamError


class LeaseHeldError(DomainStreamError):
    """Another instance has the lease."""

    def __init__(self, owner: str, seconds: float) -> None:
        self.owner = owner
        """The instance that has it."""
        self.seconds = seconds
        """How long it has it unless it renews it."""
        super().__init__(f"{owner} has the lease for another {seconds:g} s")


class LeaseLostError(DomainStreamError):
    """The epoch is over: what was read in it must not be handed over any more. Take the lease anew."""


class Lease(Struct, frozen=True):
    """A stream's lease as one instance took it."""

    epoch: int
    """The number of this take; later takes have higher ones."""

    last_delivered: str
    """The id up to which the group had read then."""

    owner_before: str
    """The instance that had the lease last; empty if it was given up, or never taken."""

    is_resumed: bool
    """Whether that was this instance."""

    epoch_before: int
    """The epoch before this one; 0 if there was none."""

    token: str
    """What distinguishes this stream from others of its name, and from itself before its group was made anew."""

    token_before: str
    """The token before this take; empty if there was none."""

    first_pending: str = ""
    """The id of the first pending entry then; empty if there was none."""

    reached: Mapping[str, str] = field(default_factory=dict)
    """For each queue, the last entry whose jobs it was given by then, as far as entries are acknowledged."""

    connection: int = 0
    """The number of the connection over which it was taken: turns over another one are not made."""
