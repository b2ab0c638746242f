"""A stack's directory and ports, read from the environment once, at start.

========================  =========  =============================================================
variable                  default    meaning
========================  =========  =============================================================
``STACK_DIR``             ``.local`` state directory, relative to the repository; one stack each
``PG_PORT``               15432      TCP port of PostgreSQL
``EMULATOR_PORT``         4566       TCP port of the emulated AWS, and so of the API
``ISSUER_PORT``           4567       TCP port of the token issuer
``WATCH_PORT``            4568       TCP port of the watched functions of ``make dev``
``PGBOUNCER_PORT``        none       TCP port of PgBouncer; if set, the functions connect through it
``SAM_PARAMETERS``        empty      further template parameters, as ``Name=value Name=value``; ``WebhookSecret=text``
                                     creates the secret for ``WebhookSecretArn``
========================  =========  =============================================================

The ports are below 32768, because the kernel uses higher ones for outgoing connections, which could occupy them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.console import StackError

HOST = "127.0.0.1"
REGION = "us-east-1"
STACK_NAME = "ordermill"
AUDIENCE = "ordermill"
CLIENT = "dashboard"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """The directory and ports of a stack."""

    state: Path
    postgres_port: int
    emulator_port: int
    issuer_port: int
    pooler_port: int | None = None
    watch_port: int = 4568
    parameters: tuple[str, ...] = ()
    # Whether the database outlives the stack, and a crash of this machine.
    keeps_data: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables listed above. Raises :class:`StackError` with the name of an unusable one."""
        return cls(
            state=_state(environment.get("STACK_DIR") or ".local"),
            postgres_port=_port(environment, "PG_PORT", 15432),
            emulator_port=_port(environment, "EMULATOR_PORT", 4566),
            issuer_port=_port(environment, "ISSUER_PORT", 4567),
            pooler_port=_port(environment, "PGBOUNCER_PORT", 0) if environment.get("PGBOUNCER_PORT") else None,
            watch_port=_port(environment, "WATCH_PORT", 4568),
            parameters=tuple(environment.get("SAM_PARAMETERS", "").split()),
        )

    @property
    def endpoint(self) -> str:
        """URL of the emulated AWS."""
        return f"http://{HOST}:{self.emulator_port}"

    @property
    def issuer(self) -> str:
        """URL of the token issuer, the ``iss`` of its tokens."""
        return f"http://{HOST}:{self.issuer_port}"

    @property
    def env_file(self) -> Path:
        """The file with the variables of a running stack, as ``KEY=value`` lines for a shell."""
        return self.state / "env"

    @property
    def aws_environment(self) -> dict[str, str]:
        """The variables that make an AWS SDK or tool use the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def calls(self) -> Path:
        """Where the calls of the functions to AWS are noted."""
        return self.state / "calls"

    def shown(self, path: Path) -> str:
        """Return a path relative to the repository, if it is inside it."""
        return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)

    def log(self, name: str) -> Path:
        """Return the log file of the server `name`."""
        return self.state / "log" / f"{name}.log"


def _state(directory: str) -> Path:
    state = Path(os.path.normpath(ROOT / directory))
    for precious in (ROOT, Path(os.path.expanduser("~"))):
        if precious.resolve().is_relative_to(state.resolve()):
            raise StackError(f"STACK_DIR is {state}, which contains {precious}.", "Set it to a directory for a stack.")
    return state


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise StackError(f"{variable} is {text!r}, which is not a port.", "Set it to a number from 1 to 65535.")
    return int(text)
