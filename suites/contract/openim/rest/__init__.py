"""The recorded REST cases, and replaying them."""
