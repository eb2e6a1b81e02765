"""`domainstream doctor`: diagnoses a server and its streams, with the command that fixes each finding."""
