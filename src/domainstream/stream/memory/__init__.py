"""Streams in memory."""
