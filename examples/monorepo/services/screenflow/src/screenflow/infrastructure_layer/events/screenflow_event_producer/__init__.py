"""Maps the service's events to channels."""
