"""What runs for a stack, written down as it starts: a later command finds it, and a killed one leaves no orphans."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack import postgres
from stack.console import StackError
from stack.processes import Server, this_process
from stack.settings import Settings


class Busy(StackError):
    """Another command is starting or stopping the stack."""


@dataclass
class Records:
    """The servers of a stack in the order they started, and the foreground command that ends with them, if any."""

    path: Path
    servers: list[Server] = field(default_factory=list)
    owner: Server | None = None

    @classmethod
    def load(cls, settings: Settings) -> "Records":
        """Read what was written down; empty when nothing was."""
        path = settings.state / "services.json"
        if not path.exists():
            return cls(path)
        content = json.loads(path.read_text())
        owner = content["owner"] and Server(**content["owner"])
        return cls(path, [Server(**each) for each in content["servers"]], owner)

    @property
    def running(self) -> bool:
        """Whether the stack is whole: every server runs, and so does the command that owns them, if one does."""
        return bool(self.servers) and all(each.alive for each in [*self.servers, *filter(None, [self.owner])])

    def own(self) -> None:
        """Note that the servers live no longer than this command."""
        self.owner = this_process("make run")
        self._save()

    def add(self, server: Server) -> None:
        """Note a server that has just started."""
        self.servers.append(server)
        self._save()

    def stop_all(self) -> None:
        """Stop the servers, the last first, and forget them. Only processes that are certainly ours are touched."""
        for server in reversed(self.servers):
            server.stop(*([postgres.STOP_SIGNAL] if server.name == postgres.NAME else []))
        self.path.unlink(missing_ok=True)
        self.servers, self.owner = [], None

    def _save(self) -> None:
        content = {"owner": self.owner and asdict(self.owner), "servers": [asdict(each) for each in self.servers]}
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(content, indent=2))
        beside.rename(self.path)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the stack's lock, so that no two commands start or stop it at once. Raises :class:`Busy` when one does."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with open(os.open(settings.state / "lock", os.O_RDWR | os.O_CREAT, 0o600), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait for it, or press Ctrl-C there."
            raise Busy("Another command is starting or stopping this stack.", remedy) from error
        yield
