"""Documents of a whole system, generated from the registry of its channels."""
