"""What the replays of REST cases, WebSocket sessions and SDK calls have in common."""
