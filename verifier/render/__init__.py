"""Renderers of events and results: terminal, JSON, JUnit, HTML and audit log. Import them on use: rich and Jinja load slowly."""
