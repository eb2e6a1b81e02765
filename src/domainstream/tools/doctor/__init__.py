"""The checks of `domainstream doctor`, with the command that fixes each finding."""
