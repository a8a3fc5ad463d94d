"""Delivery of a mailbox's messages to a program behind a firewall: `kopuro listen`."""
