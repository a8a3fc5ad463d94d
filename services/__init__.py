"""The services of a hub. No service imports another."""
