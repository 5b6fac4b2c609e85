"""`python -m suites.canary --profile stack.toml`: run the canary, the only part of this project that writes to a user's stack."""

import sys

from suites.canary.command import main

if __name__ == "__main__":
    sys.exit(main())
