"""Connections to Redis: the only room that opens them."""
