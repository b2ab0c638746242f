"""`sam deploy --guided` in a terminal, each question answered by Enter alone: ``python -m stack.guided``.

Deploys the built functions into the emulated AWS that `AWS_ENDPOINT_URL` names, up to the last question, whether to
deploy these changes; Enter says no. Prints SAM's output and ends with its status, or with 2 where SAM repeats one
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


def answer_all(place: Path) -> tuple[int, str]:
    """Have the default deployed from this directory; returns SAM's exit status and all that it said."""
    config = place / "samconfig.toml"
    config.write_text(
        (ROOT / "samconfig.toml").read_text().replace("confirm_changeset = false", "confirm_changeset = true")
    )
    options = ["--template-file", str(deploy.BUILT_TEMPLATE), "--config-file", str(config)]
    command = [str(deploy.TOOLS / "sam"), "deploy", "--guided", *options]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(place)
        os.execve(command[0], command, deploy.tool_environment())
    said, asked, deadline = "", "", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.3)[0]:
                question = QUESTION.search(FORMAT.sub("", said))
                if question and question.group(1) == asked:
                    return 2, said
                if question:
                    asked = question.group(1)
                    os.write(terminal, b"\n")
                continue
            try:
                said += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # The terminal closes when SAM ends.
                return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said
        return 2, said
    finally:
        os.close(terminal)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        status, text = answer_all(Path(directory))
    print(FORMAT.sub("", text))
    sys.exit(status)
