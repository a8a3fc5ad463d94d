"""The directory's pure rules: no database and no HTTP."""
