"""The command line as a process, and a profile whose stores cannot be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UNREACHABLE = """
stack = "nowhere"
phase = "registered"
history = "memory:"
[since]
registered = 2026-01-01T00:00:00Z
[timing]
settle_s = 0
[roles.user_db]
url = "postgresql://u:s3cret@127.0.0.1:1/none"
connect_timeout_s = 2
[roles.openim]
api_url = "http://127.0.0.1:1"
secret = "s3cret"
admin_user_id = "verifier"
[relations.users]
role = "user_db"
table = "users"
key = "user_id"
columns.user_id = "id"
columns.nickname = "nickname"
columns.active = "active"
columns.last_login_at = "last_login_at"
"""


def verifier(*arguments: str, cwd: Path | None = None, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in a terminal of this encoding."""
    command = [sys.executable, "-c", "from verifier.commands.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        command, capture_output=True, encoding=encoding, timeout=60, check=False, cwd=cwd, env=environment
    )
