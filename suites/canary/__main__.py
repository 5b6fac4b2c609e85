"""`python -m suites.canary --profile stack.toml`: the one thing of ours that writes to a user's stack."""

import sys

from suites.canary.command import main

if __name__ == "__main__":
    sys.exit(main())
