"""The emulated AWS of one machine: MiniStack, in memory, on the loopback address."""

import os

from stack import api, processes
from stack.processes import Server
from stack.settings import HOST, Settings

NAME = "emulator"


def start(settings: Settings) -> Server:
    """Start the emulator."""
    (settings.state / "tmp").mkdir(parents=True, exist_ok=True)
    arguments = [str(settings.calls)]
    return processes.start_module(NAME, "stack.launcher", arguments, _environment(settings), settings.log(NAME))


def answers(settings: Settings) -> bool:
    """Whether the emulator answers."""
    status, health = api.call(f"{settings.endpoint}/_ministack/health")
    return status == 200 and health["auth"] == "enabled"


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
