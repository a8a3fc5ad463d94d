"""The demo: five invented referrals, played through the public HTTP API of a hub of its own."""
