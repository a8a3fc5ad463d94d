"""What becomes of a case in custody: pure decisions."""
