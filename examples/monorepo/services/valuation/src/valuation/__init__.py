"""The valuation service: it says what a stay is worth."""
