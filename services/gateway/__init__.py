"""The gateway: the partners' door over AMQP. It is a client of the hub's HTTP API and stores nothing."""
