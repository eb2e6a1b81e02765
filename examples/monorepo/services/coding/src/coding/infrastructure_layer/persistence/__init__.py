"""Stores stays."""
