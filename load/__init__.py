"""Load on OpenIM: canary users send, every message is recorded in a journal and accounted for when the run ends."""
