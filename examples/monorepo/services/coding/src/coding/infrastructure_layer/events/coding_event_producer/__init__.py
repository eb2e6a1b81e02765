"""Which event goes to which channel."""
