"""Committed snapshots of payloads: reads and writes the files, and compares them with today's payloads."""
