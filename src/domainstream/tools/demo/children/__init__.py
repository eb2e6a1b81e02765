"""What runs in the child processes: one module each, named as the process. `child` is what they share."""
