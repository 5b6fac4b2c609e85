"""The shipped checks, by row of docs/data-ownership.md. `catalogue` loads them all."""
