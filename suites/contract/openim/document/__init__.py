"""Generating the documents of the contract: an OpenAPI description of the REST API and a page about the WebSocket."""
