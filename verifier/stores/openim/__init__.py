"""OpenIM: its REST API, and its own MongoDB as relations."""
