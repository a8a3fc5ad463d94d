"""Mailboxes in the database, and the bell that wakes whoever waits at one."""
