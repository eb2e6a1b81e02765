"""What `check` knows of a system."""
