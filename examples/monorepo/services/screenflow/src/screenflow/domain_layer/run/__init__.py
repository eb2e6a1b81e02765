"""One run of the rules over one stay."""
