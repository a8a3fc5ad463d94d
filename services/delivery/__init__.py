"""Delivery: the organisations' mailboxes and the sealed cases released to them."""
