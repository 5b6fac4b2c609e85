"""RabbitMQ: the management API, AMQP, sources, observers."""
