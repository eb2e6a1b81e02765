"""`domainstream run`: imports a program, runs it until a signal, and serves its health over HTTP."""
