"""Looks at streams, groups and servers without changing them."""
