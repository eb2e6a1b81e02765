"""The use cases of the coding service."""
