"""OpenIM's error codes for tokens, in words [F23]."""

TOKEN_CODES = {
    1501: "expired",
    1503: "malformed",
    1504: "not valid yet",
    1505: "badly signed",
    1506: "kicked",
    1507: "unknown to OpenIM",
}
