"""The billing service: it bills what a ward has coded."""
