"""The users of a load run, over REST and WebSocket: how they sign in, whom they write to, and when."""
