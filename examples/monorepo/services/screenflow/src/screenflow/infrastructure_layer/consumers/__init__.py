"""Events of other services on their way in."""
