"""The ports of a stack, and whether they are free."""

import errno
import socket

from stack.console import StackError
from stack.settings import HOST, Settings


def check_free(settings: Settings, *more: tuple[str, int, str]) -> None:
    """Raise :class:`StackError` with every port that is in use, what needs it, and the variable that sets another."""
    needed = [
        ("PostgreSQL", settings.postgres_port, "PG_PORT"),
        ("the emulated AWS", settings.emulator_port, "EMULATOR_PORT"),
        ("the token issuer", settings.issuer_port, "ISSUER_PORT"),
    ]
    if settings.pooler_port:
        needed.append(("PgBouncer", settings.pooler_port, "PGBOUNCER_PORT"))
    in_use = [entry for entry in [*needed, *more] if _in_use(entry[1])]
    if in_use:
        listed = "\n".join(
            f"  {HOST}:{port}, needed by {what}: set {variable} to another" for what, port, variable in in_use
        )
        example = f"{in_use[0][2]}={in_use[0][1] + 1000}"
        raise StackError(
            f"These ports are in use by another program:\n{listed}", f"For example, add {example} to the same command."
        )


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise StackError(f"Port {port} can't be used: {error.strerror}.", "Set another above 1023.") from error
    return False
