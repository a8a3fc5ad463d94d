"""`kopuro admin doctor`: adapters observe facts, pure checks judge them, and each finding says what to do."""
