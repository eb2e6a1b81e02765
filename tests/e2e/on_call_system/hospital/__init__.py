"""A small system under billing: coding publishes the stays that it coded, and billing makes a bill of each."""
