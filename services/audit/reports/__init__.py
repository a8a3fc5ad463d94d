"""Reports on the log: search, story, statistics, export, bundle."""
