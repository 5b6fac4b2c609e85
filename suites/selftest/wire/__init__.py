"""The wire of OpenIM's WebSocket: what is written is read again, and no bytes do harm."""
