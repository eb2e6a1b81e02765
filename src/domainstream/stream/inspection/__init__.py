"""Looking at streams, groups and servers without changing them, for people and tools."""
