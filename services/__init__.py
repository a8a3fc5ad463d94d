"""The services of a hub. Each is a room of its own: none imports another."""
