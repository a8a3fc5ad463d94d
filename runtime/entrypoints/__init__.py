"""The nameko entrypoints of a service: HTTP resources, message batches, the operations port."""
