"""The Docker engine that runs the containers of `sam local`.

It is the machine's own where one runs, and then the SAM CLI pulls Lambda's image. With ``DOCKER=install`` it is one of
the stack's own, made of Debian's packages, and so is the image: Debian in place of Amazon Linux, for machines that
reach no registry. It keeps everything in the stack's state directory, listens on a socket there and gives no container
a network but the machine's.
"""

import http.client
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path

from stack import apt, processes
from stack.console import StackError, step
from stack.processes import Server
from stack.settings import Settings

NAME = "docker"
IMAGE = "ordermill-lambda:debian"
MACHINES_OWN = "unix:///var/run/docker.sock"
NONE_RUNS = "No Docker engine runs on this machine."
REMEDY = "Start it, or let one be installed and run as root for as long as it takes: DOCKER=install make sam-local"


def is_own() -> bool:
    """Whether the stack is asked to have an engine of its own."""
    return os.environ.get("DOCKER") == "install"


def address(settings: Settings) -> str:
    """Where the engine listens. Raises :class:`StackError` when it is to be the machine's own and none runs."""
    if is_own():
        return f"unix://{_socket(settings)}"
    machines_own = os.environ.get("DOCKER_HOST", MACHINES_OWN)
    if machines_own.startswith("unix://") and not _answers(Path(machines_own.removeprefix("unix://"))):
        raise StackError(NONE_RUNS, REMEDY)
    return machines_own


def start(settings: Settings) -> Server:
    """Start the stack's own; :func:`wait` tells when it answers."""
    if os.geteuid() != 0:
        raise StackError("Only root can run a Docker engine of one's own.", "Be root, or start the machine's.")
    program = apt.ensure("dockerd", "docker.io")
    place = _place(settings)
    place.mkdir(parents=True, exist_ok=True)
    options = {
        "host": address(settings),
        "data-root": place / "data",
        "exec-root": place / "run",
        "pidfile": place / "pid",
        "bridge": "none",
    }
    # What it mounts is mounted for itself alone, and gone when it is.
    command = ["unshare", "--mount", program, "--iptables=false", "--ip6tables=false"]
    command += [f"--{name}={value}" for name, value in options.items()]
    return processes.start(NAME, command, {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}, settings.log(NAME))


def wait(settings: Settings, server: Server) -> None:
    """Wait until it answers."""
    processes.wait_until(lambda: _answers(_socket(settings)), server, settings.log(NAME), seconds=60)


def make_image(settings: Settings) -> None:
    """Make the stack's own image, unless its engine has it from before."""
    if _request(_socket(settings), "GET", f"/images/{IMAGE}/json") == 200:
        return
    root, log = _place(settings) / "root", settings.log("debootstrap")
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    step(f"Making the containers' image of the packages of {release} (debootstrap)")
    shutil.rmtree(root, ignore_errors=True)
    command = [apt.ensure("debootstrap", "debootstrap"), "--variant=minbase", release, root]
    processes.run(command, os.environ, settings.state, quiet=log)
    _import(_socket(settings), root)
    shutil.rmtree(root)


def _import(engine: Path, root: Path) -> None:
    name, _, tag = IMAGE.partition(":")
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as archive:
        status = _request(engine, "POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}", archive.stdout)
    if status != 200 or archive.returncode != 0:
        raise StackError(f"Docker did not take the image: status {status}.")


def _place(settings: Settings) -> Path:
    return settings.state / "docker"


def _socket(settings: Settings) -> Path:
    return _place(settings) / "docker.sock"


def _answers(engine: Path) -> bool:
    try:
        return _request(engine, "GET", "/_ping") == 200
    except OSError:
        return False


def _request(engine: Path, method: str, path: str, body=None) -> int:
    """Call the engine; returns the status."""
    connection = _Connection(engine)
    connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
    response = connection.getresponse()
    response.read()
    return response.status


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))
