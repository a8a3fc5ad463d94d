"""Messaging: outbox and relay, inbox and batches, replicas, parking, queries with deadlines."""
