"""LocalStack's queues instead of the emulated AWS: a second implementation of SQS.

It uses the port of the emulated AWS, keeps its files in the stack's state directory, and does not use the network: it
has no telemetry, no name server, no certificate download and no containers. It runs no function.
"""

import os
from pathlib import Path

from stack import api, processes
from stack.processes import Server
from stack.settings import HOST, ROOT, Settings

NAME = "localstack"
PYTHON = ROOT / ".venv" / "localstack" / "bin" / "python"


def start(settings: Settings) -> Server:
    """Start LocalStack."""
    _files(settings).mkdir(parents=True, exist_ok=True)
    return processes.start(
        NAME, [str(PYTHON), "-m", "localstack.runtime.main"], _environment(settings), settings.log(NAME)
    )


def answers(settings: Settings) -> bool:
    """Whether its queues answer."""
    status, health = api.call(f"{settings.endpoint}/_localstack/health")
    return status == 200 and health["services"]["sqs"] == "running"


def _environment(settings: Settings) -> dict[str, str]:
    files = str(_files(settings))
    return {
        "PATH": os.environ["PATH"],
        "HOME": files,
        "TMPDIR": files,
        "FILESYSTEM_ROOT": files,
        "LANG": "C.UTF-8",
        "GATEWAY_LISTEN": f"{HOST}:{settings.emulator_port}",
        # The default server, Twisted, ignores the address and listens on all of them.
        "GATEWAY_SERVER": "hypercorn",
        "SERVICES": "sqs",
        "STRICT_SERVICE_LOADING": "1",
        "EAGER_SERVICE_LOADING": "1",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "DOCKER_HOST": "unix:///nonexistent",
        "OVERRIDE_IN_DOCKER": "0",
    }


def _files(settings: Settings) -> Path:
    return settings.state / "tmp" / "localstack"
