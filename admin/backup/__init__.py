"""`kopuro admin backup` and `restore`: one moment of a whole hub, without the vault's own keys (ADR 0049)."""
