"""The recorded WebSocket sessions, and replaying them frame by frame."""
