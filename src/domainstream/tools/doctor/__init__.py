"""`domainstream doctor`: what is wrong with a server and its streams, and the command that mends it."""
