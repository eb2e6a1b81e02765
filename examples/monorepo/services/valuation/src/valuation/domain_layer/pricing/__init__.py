"""The price of one stay."""
