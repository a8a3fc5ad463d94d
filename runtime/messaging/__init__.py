"""Messaging: outbox and relay, inbox and batches, replicas, dead letters, request/reply with deadlines."""
