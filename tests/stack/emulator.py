"""The emulated AWS of one machine: MiniStack, in memory, on the loopback address."""

import json
import os
import urllib.error
import urllib.request

from stack import processes
from stack.processes import Server
from stack.settings import HOST, Settings

NAME = "emulator"


def start(settings: Settings) -> Server:
    """Start the emulator; :func:`wait` waits until it answers."""
    (settings.state / "tmp").mkdir(parents=True, exist_ok=True)
    arguments = [str(settings.calls)]
    return processes.start_module(NAME, "stack.launcher", arguments, _environment(settings), settings.log(NAME))


def wait(settings: Settings, server: Server) -> None:
    """Wait until the emulator answers."""
    processes.wait_until(lambda: _healthy(settings), server, settings.log(NAME), seconds=30)


def _environment(settings: Settings) -> dict[str, str]:
    """Return all its variables. The functions inherit them, so it must not have those of this process."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state),
        "TMPDIR": str(settings.state / "tmp"),
        "LANG": "C.UTF-8",
        **settings.aws_environment,
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(settings.emulator_port),
        # The emulator then enforces IAM: see stack.calls.
        "AUTH": "true",
        # These parts would open additional ports or look for old containers.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
    }


def _healthy(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.endpoint}/_ministack/health", timeout=2) as response:
            return json.load(response)["auth"] == "enabled"
    except (urllib.error.URLError, OSError, ValueError):
        return False
