"""Delivery: every organisation's mailbox, and the sealed cases that were released to it."""
