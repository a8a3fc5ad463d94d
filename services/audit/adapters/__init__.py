"""The schema of audit's database, which the log and the reports share."""
