"""The hot path of WebSocket load: an event loop of its own beside locust, with nothing of locust in it."""
