"""The HTTP server: requests, routing, responses and RFC 9457 problems."""
