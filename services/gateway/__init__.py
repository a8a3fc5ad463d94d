"""The gateway: the partners' access over AMQP. It is a client of the hub's HTTP API and stores nothing."""
