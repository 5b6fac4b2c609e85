"""The hot path of WebSocket load: an asyncio event loop in a thread of its own, independent of locust."""
