"""The recorded calls of published client SDKs, and replaying them."""
