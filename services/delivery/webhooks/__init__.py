"""Webhooks: tells a partner's HTTP endpoint about each message in its mailbox, which stays the truth."""
