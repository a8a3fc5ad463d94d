"""Webhooks: notices to a partner's HTTP endpoint about the messages in its mailbox."""
