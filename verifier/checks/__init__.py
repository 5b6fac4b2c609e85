"""The shipped checks: one file per row of docs/data-ownership.md; `catalogue` loads them all."""
