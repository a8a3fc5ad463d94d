"""The vault's database tables, keys and cryptography."""
