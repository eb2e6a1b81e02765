"""Publishes the service's events."""
