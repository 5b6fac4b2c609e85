"""The contract as documents, generated: an OpenAPI description of the REST routes, a page of the WebSocket."""
