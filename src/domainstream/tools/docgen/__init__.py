"""Documents of a whole system, written from the registry of its channels."""
