"""Where nameko calls a service: HTTP resources, batches of messages, the operations port."""
