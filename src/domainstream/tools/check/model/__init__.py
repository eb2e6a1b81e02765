"""What `check` knows about a system: plain data that `reading` fills in and `rules` look at."""
