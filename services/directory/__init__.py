"""The directory: organisations, their services, agreements, keys and OAuth clients."""
