"""Inboxes: effects of an event that happen once."""
