"""The directory's rules, without a database or a door."""
