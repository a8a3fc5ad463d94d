"""The webhooks' store, key file and HTTP sender."""
