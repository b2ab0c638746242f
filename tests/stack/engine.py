"""The Docker engine that runs the containers of `sam local`.

By default it is the machine's engine, and the SAM CLI pulls Lambda's image. With ``DOCKER=install`` the stack runs its
own engine, installed from Debian's packages, with its own image: Debian instead of Amazon Linux, for machines without a
container registry. That engine keeps its files in the stack's state directory, listens on a socket there, and offers
containers only the machine's network.
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
REMEDY = "Start it, or install one and run it as root for this command: DOCKER=install make sam-local"


def is_own() -> bool:
    """Whether the stack runs its own engine."""
    return os.environ.get("DOCKER") == "install"


def address(settings: Settings) -> str:
    """Return the engine's address. Raises :class:`StackError` if it is the machine's engine and does not run."""
    if is_own():
        return f"unix://{_socket(settings)}"
    machines_own = os.environ.get("DOCKER_HOST", MACHINES_OWN)
    if machines_own.startswith("unix://") and not _answers(Path(machines_own.removeprefix("unix://"))):
        raise StackError(NONE_RUNS, REMEDY)
    return machines_own


def start(settings: Settings) -> Server:
    """Start the stack's own engine."""
    if os.geteuid() != 0:
        raise StackError("Only root can run its own Docker engine.", "Run this as root, or start the machine's engine.")
    program = apt.ensure("dockerd", "docker.io")
    directory = _directory(settings)
    directory.mkdir(parents=True, exist_ok=True)
    options = {
        "host": address(settings),
        "data-root": directory / "data",
        "exec-root": directory / "run",
        "pidfile": directory / "pid",
        "bridge": "none",
    }
    # Its mounts are private, and disappear when it ends.
    command = ["unshare", "--mount", program, "--iptables=false", "--ip6tables=false"]
    command += [f"--{name}={value}" for name, value in options.items()]
    return processes.start(NAME, command, {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}, settings.log(NAME))


def answers(settings: Settings) -> bool:
    """Whether the stack's own engine answers."""
    return _answers(_socket(settings))


def make_image(settings: Settings) -> None:
    """Create the stack's own image, unless its engine already has it."""
    if _request(_socket(settings), "GET", f"/images/{IMAGE}/json") == 200:
        return
    root, log = _directory(settings) / "root", settings.log("debootstrap")
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    step(f"Creating the containers' image from the packages of {release} (debootstrap)")
    shutil.rmtree(root, ignore_errors=True)
    command = [apt.ensure("debootstrap", "debootstrap"), "--variant=minbase", release, root]
    processes.run(command, os.environ, settings.state, log=log)
    _import(_socket(settings), root)
    shutil.rmtree(root)


def _import(engine: Path, root: Path) -> None:
    name, _, tag = IMAGE.partition(":")
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as archive:
        status = _request(engine, "POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}", archive.stdout)
    if status != 200 or archive.returncode != 0:
        raise StackError(f"Docker refused the image with status {status}.")


def _directory(settings: Settings) -> Path:
    return settings.state / "docker"


def _socket(settings: Settings) -> Path:
    return _directory(settings) / "docker.sock"


def _answers(engine: Path) -> bool:
    try:
        return _request(engine, "GET", "/_ping") == 200
    except OSError:
        return False


def _request(engine: Path, method: str, path: str, body=None) -> int:
    """Call the engine and return the status."""
    connection = http.client.HTTPConnection("localhost")
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(60)
        connection.sock.connect(str(engine))
        connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
        response = connection.getresponse()
        response.read()
        return response.status
