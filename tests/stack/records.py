"""A file with the running servers of a stack, so that later commands find them, also after a killed command."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack import postgres
from stack.console import StackError
from stack.files import write_private
from stack.processes import Server, this_process
from stack.settings import ROOT, Settings

# Marks a directory that a stack made.
MARK = "ordermill-stack"


class Busy(StackError):
    """Another command is starting or stopping the stack."""


@dataclass
class Records:
    """The servers of a stack in their starting order, and the foreground command that owns them, if any."""

    path: Path
    servers: list[Server] = field(default_factory=list)
    owner: Server | None = None

    @classmethod
    def load(cls, settings: Settings) -> "Records":
        """Read the file. Returns empty records if it does not exist."""
        path = settings.state / "services.json"
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return cls(path)
        owner = content["owner"] and Server(**content["owner"])
        return cls(path, [Server(**each) for each in content["servers"]], owner)

    @property
    def running(self) -> bool:
        """Whether every server runs, and the command that owns them too, if there is one."""
        return bool(self.servers) and all(each.alive for each in [*self.servers, *filter(None, [self.owner])])

    @property
    def abandoned(self) -> bool:
        """Whether servers run although the command that owns them was killed."""
        return self.owner is not None and not self.owner.alive and any(each.alive for each in self.servers)

    def own(self) -> None:
        """Record that this command owns the servers."""
        self.owner = this_process("make run")
        self._save()

    def add(self, server: Server) -> None:
        """Record a started server."""
        self.servers.append(server)
        self._save()

    def stop_all(self) -> None:
        """Stop the servers, the last first, and delete the file. Checks that each process is the stack's own."""
        for server in reversed(self.servers):
            server.stop(*([postgres.STOP_SIGNAL] if server.name == postgres.NAME else []))
        self.path.unlink(missing_ok=True)
        self.servers, self.owner = [], None

    def _save(self) -> None:
        content = {"owner": self.owner and asdict(self.owner), "servers": [asdict(each) for each in self.servers]}
        write_private(self.path, json.dumps(content, indent=2))


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the stack's lock, so that only one command starts or stops it. Raises :class:`Busy` if another one does.

    Raises :class:`StackError`, before anything is written, if other files than a stack's are in its directory.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    if any(settings.state.iterdir()):
        check_made_by_stack(settings.state)
    (settings.state / MARK).touch()
    with open(os.open(settings.state / "lock", os.O_RDWR | os.O_CREAT, 0o600), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait for it, or press Ctrl-C there."
            raise Busy("Another command is starting or stopping this stack.", remedy) from error
        yield


def check_made_by_stack(state: Path) -> None:
    """Raise :class:`StackError` unless a stack made this directory, or it is the repository's `.local` or within it."""
    is_own = state.resolve().is_relative_to((ROOT / ".local").resolve())
    if not (is_own or (state / MARK).exists()):
        raise StackError(
            f"{state} has no stack, so nothing is changed there.", "Set STACK_DIR to a stack's directory or a new one."
        )
