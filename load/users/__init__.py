"""Who sends: users over REST and WebSocket, whom they write to, when, and how they get in."""
