"""The log in SQL, the publication on disk, the witnesses over HTTP."""
