"""The gateway's adapters: the broker of the partners, its management API, and the hub over HTTP."""
