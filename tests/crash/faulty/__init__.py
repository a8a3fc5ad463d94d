"""Services that die where a test wants them to: the real parts, between ports that end their own process."""
