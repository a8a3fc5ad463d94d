"""The webhooks' pure decisions: signatures, addresses, retries, and the states of endpoints and notices."""
