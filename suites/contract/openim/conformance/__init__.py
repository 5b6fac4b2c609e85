"""Testing a server, the double or a live one, against the OpenAPI description with generated requests."""
