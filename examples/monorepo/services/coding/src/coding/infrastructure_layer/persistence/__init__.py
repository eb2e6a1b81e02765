"""Where stays are kept."""
