"""The WebSocket half: recorded sessions, replayed frame by frame over a client that hides nothing of the wire."""
