"""Redis: the only room that opens connections to it.

Here belongs how to connect, how to send many commands in one write, and what a server's errors mean. What is stored in
Redis, and under which scripts, is up to the stages. Everything here works without knowing events or jobs.
"""
