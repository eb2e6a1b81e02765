"""Tools built on the library: check, scaffold, docgen, demo, doctor, serving, replay and timeline.

The library never imports them, and they never import the command line: they return records and raise errors, which
`domainstream.cli` prints and maps to exit codes.
"""
