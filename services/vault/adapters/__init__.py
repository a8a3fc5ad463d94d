"""Where the vault keeps things, and what it opens them with."""
