"""`domainstream demo`: the example monorepo at work, counted.

The parent starts one process per service and one for the subscriber; `children/` holds what runs in them. A child writes
reports, one JSON object a line, to its standard output, and lives until its standard input ends: so it ends with its parent,
however that ends.
"""
