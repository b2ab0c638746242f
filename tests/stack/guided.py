"""Runs `sam deploy --guided` in a terminal and answers each question by Enter: ``python -m stack.guided``.

It deploys the built functions into the emulated AWS of `AWS_ENDPOINT_URL`, up to the last question, whether to deploy
the changes. Enter answers no. It prints SAM's output and exits with SAM's status, or with 2 if SAM repeats a question
or runs too long.
"""

import os
import pty
import re
import select
import sys
import tempfile
import time
from pathlib import Path

from stack import deploy
from stack.settings import ROOT

SECONDS = 120
QUESTION = re.compile(r"([^\r\n]*(?:\]:|\]: |: ))$")
FORMAT = re.compile(r"\x1b\[[0-9;]*m")


def answer_all(directory: Path) -> tuple[int, str]:
    """Deploy the default environment from this directory. Returns SAM's exit status and its output."""
    config = directory / "samconfig.toml"
    config.write_text(
        (ROOT / "samconfig.toml").read_text().replace("confirm_changeset = false", "confirm_changeset = true")
    )
    options = ["--template-file", str(deploy.BUILT_TEMPLATE), "--config-file", str(config)]
    command = [str(deploy.TOOLS / "sam"), "deploy", "--guided", *options]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(directory)
        os.execve(command[0], command, deploy.tool_environment())
    output, asked, deadline = "", "", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.3)[0]:
                question = QUESTION.search(FORMAT.sub("", output))
                if question and question.group(1) == asked:
                    return 2, output
                if question:
                    asked = question.group(1)
                    os.write(terminal, b"\n")
                continue
            try:
                output += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # The terminal closes when SAM ends.
                return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), output
        return 2, output
    finally:
        os.close(terminal)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        status, text = answer_all(Path(temporary))
    print(FORMAT.sub("", text))
    sys.exit(status)
