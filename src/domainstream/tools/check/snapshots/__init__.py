"""Payload snapshots, and what changed since."""
