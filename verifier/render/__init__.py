"""Renderers: consumers of events and results. Each is imported on use, since rich and Jinja take time to load."""
