"""`domainstream new`: writes projects, services, events and subscribers in the guide's layout. Beside: `check`.

`command` reads the options; `project`, `service`, `event` and `subscriber` plan what is to change, in memory; `plan`
writes it; `edits` changes code in place; `templates` are the files that begin their lives here.
"""
