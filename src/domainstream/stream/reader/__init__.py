"""Reads channels in a consumer group."""
