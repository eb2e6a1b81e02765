"""Side-by-side measurements with peers; `make bench` prints the table."""
