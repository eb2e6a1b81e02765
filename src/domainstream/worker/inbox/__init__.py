"""Inboxes, which make the effects of an event happen once.

Import the one you need: `domainstream.worker.inbox.sql` needs the extra `sql`, `domainstream.worker.inbox.redis` none.
"""
