"""The journal of a load run in compact binary columns, for rates at which a line of JSON for each event costs too much."""
