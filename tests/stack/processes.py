"""Servers that outlive the command that started them, identified by pid and start time; and commands."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.console import StackError

# How long a process may take to end after a signal, in seconds.
PATIENCE = 15


@dataclass(frozen=True)
class Server:
    """A started process. Pids are reused, so the start time, in clock ticks since boot, identifies it as well."""

    name: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this process still runs."""
        return _start_time(self.pid) == self.started

    def stop(self, sign: int = signal.SIGTERM) -> None:
        """End the process and its group by `sign`, or by force after :data:`PATIENCE`, unless it has ended."""
        for each in (sign, signal.SIGKILL):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, each)
            deadline = time.monotonic() + PATIENCE
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.05)


def as_user(name: str | None) -> dict:
    """Return the options of `subprocess` that select a user; `None` stands for the current one."""
    return {} if name is None else {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def start(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, user: str | None = None
) -> Server:
    """Start a server with its output in `log`. It outlives this process, until :meth:`Server.stop`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            **as_user(user),
        )
    # It outlives this process, and Python warns of a child without a status.
    process.returncode = 0
    return _server(name, process.pid)


def start_module(name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Server:
    """Start a module of this package as a server, like :func:`start`."""
    package_root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", module, *arguments]
    return start(name, command, {**environment, "PYTHONPATH": str(package_root)}, log)


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    cwd: Path,
    log: Path | None = None,
    answer: Path | None = None,
) -> None:
    """Run a command to its end. With `log`, its output goes to that file, and the last lines into the error.

    With `answer`, its standard output goes to that file instead. An interrupt ends the command and its children.
    Raises :class:`StackError` if the command fails.
    """
    with contextlib.ExitStack() as files:
        output = files.enter_context(log.open("wb")) if log else None
        printed = files.enter_context(answer.open("wb")) if answer else output
        streams = {"stdin": subprocess.DEVNULL, "stdout": printed, "stderr": output}
        process = subprocess.Popen(command, env=dict(environment), cwd=cwd, start_new_session=True, **streams)
        status = _wait_or_end(process)
    if status != 0:
        output = f"\n{tail(log, 40)}" if log else ""
        raise StackError(f"`{' '.join(map(str, command))}` failed with status {status}.{output}")


def _wait_or_end(process: subprocess.Popen) -> int:
    try:
        return process.wait()
    except BaseException:
        _server("", process.pid).stop()
        process.wait()
        raise


def wait_until(check, server: Server, log: Path, seconds: float = 60) -> None:
    """Wait until `check()` is true. Raises :class:`StackError` with the server's last log lines otherwise."""
    deadline = time.monotonic() + seconds
    while not check():
        if not server.alive or time.monotonic() > deadline:
            problem = f"did not answer within {seconds:.0f} s" if server.alive else "stopped while starting"
            raise StackError(f"{server.name} {problem}:\n{tail(log, 15)}", f"Its whole log: {log}")
        time.sleep(0.05)


def this_process(name: str) -> Server:
    """Return this process as a server."""
    return _server(name, os.getpid())


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a text file, or an empty text if there is no such file."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _server(name: str, pid: int) -> Server:
    # Zero stands for a process that has already ended. `wait_until` reports that.
    return Server(name, pid, _start_time(pid) or 0)


def _start_time(pid: int) -> int | None:
    try:
        # The name in parentheses may contain spaces; the fields after it do not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
