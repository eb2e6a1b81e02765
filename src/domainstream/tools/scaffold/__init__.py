"""`domainstream new`: writes projects, services, events and subscribers in the guide's layout.

`project`, `event` and `subscriber` plan the changes of one command in memory, `edits` change existing code in place,
`templates` hold the files that are new, and `plan` writes the changes.
"""
