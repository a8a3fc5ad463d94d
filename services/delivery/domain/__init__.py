"""Who is told what, and how far a message has come: pure decisions."""
