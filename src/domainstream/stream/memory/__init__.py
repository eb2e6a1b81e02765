"""Streams, their reader and their dead letters in memory: the ports of this stage without a server."""
