"""Services as they are, but quick to notice that something is wrong."""
