"""Holding a server, the double or a real one, to the OpenAPI description by requests that nobody thought of."""
