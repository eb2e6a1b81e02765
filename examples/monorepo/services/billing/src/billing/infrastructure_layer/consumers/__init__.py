"""Handlers for events of other services."""
