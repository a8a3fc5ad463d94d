"""Organisations of the sandbox that answer in a fixed way, so that a developer can provoke each outcome."""
