"""The embedded default: a private broker, supervised services, a sample network."""
