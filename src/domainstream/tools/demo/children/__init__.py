"""The programs of the child processes, one module each, named like its process. `child` is what they share."""
