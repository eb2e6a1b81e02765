"""The valuation service: it calculates the price of a stay."""
