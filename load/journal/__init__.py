"""The journal of a load run: compact binary columns, for rates at which one line of JSON per event costs too much."""
