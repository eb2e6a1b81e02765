"""Changes to code that exists, each a function from source to source. Before: `source`; next: the planners."""
