"""Relations that need no mapping in the profile."""
