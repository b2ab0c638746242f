"""The stack's own PostgreSQL: private data directory and port, loopback only, never the machine's cluster.

The server refuses to run as root, so root starts it as the owner of the data directory. A new directory belongs to
`postgres` or, if there is no such user, to `nobody`.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from stack import packages, processes
from stack.console import StackError, step
from stack.files import write_private
from stack.processes import Server, as_user
from stack.settings import HOST, Settings

NAME = "postgres"
STOP_SIGNAL = signal.SIGINT  # "fast": ends all sessions and shuts down cleanly
ROLE = DATABASE = "ordermill"
BOOTSTRAP = f"""CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '{{}}'
CREATE DATABASE {DATABASE} OWNER {ROLE}
"""
OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "600",
    "cluster_name": "ordermill",
}
# For data that is deleted at the end. By default, autovacuum visits each database once a minute, and the tests create
# hundreds of them.
TEMPORARY = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10min"}
# Root's data directories outside the state directory.
OUTSIDE = Path("/var/lib")


def start(settings: Settings) -> Server:
    """Start the server, with a new data directory if there is none."""
    user, data = account(settings), data_directory(settings)
    binaries = _binaries(data)
    if not (data / "PG_VERSION").exists():
        _create(data, binaries, user)
    # Every role with a password may sign in, because tests create their own roles.
    (data / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")
    more = {} if settings.keeps_data else TEMPORARY
    options = [f"-c{name}={value}" for name, value in {**OPTIONS, **more, "port": settings.postgres_port}.items()]
    command = [str(binaries / "postgres"), "-D", str(data), *options]
    return processes.start(NAME, command, _environment(), settings.log(NAME), user)


def answers(settings: Settings) -> bool:
    """Whether the server accepts connections."""
    return accepts(settings.postgres_port)


def accepts(port: int) -> bool:
    """Whether a server with PostgreSQL's protocol accepts connections at this port."""
    return subprocess.call([packages.postgres_binaries() / "pg_isready", "-q", "-h", HOST, "-p", str(port)]) == 0


def url(settings: Settings) -> str:
    """Return the connection URL of the application's role, which may create databases and roles for the tests."""
    return f"postgres://{ROLE}:{password(settings)}@{HOST}:{settings.postgres_port}/{DATABASE}"


def password(settings: Settings) -> str:
    """Return that role's password, which was created with the data directory."""
    return _password_file(data_directory(settings)).read_text()


def data_directory(settings: Settings) -> Path:
    """Return the data directory: in the state directory, or in /var/lib if the server's user can't access that."""
    settings.state.mkdir(parents=True, exist_ok=True)
    within = settings.state / "postgres"
    if os.geteuid() != 0 or within.exists():
        return within
    outside = OUTSIDE / f"ordermill-{hashlib.sha256(str(settings.state).encode()).hexdigest()[:12]}" / "postgres"
    return within if not outside.exists() and _reaches(_owner_of_new_data(), settings.state) else outside


def account(settings: Settings) -> str | None:
    """Return the user for servers that refuse to run as root: the owner of the data, or `None` for the current one."""
    if os.geteuid() != 0:
        return None
    data = data_directory(settings)
    return owner(data) if data.exists() else _owner_of_new_data()


def owner(data: Path) -> str:
    """Return the owner of the data. Raises :class:`StackError` if PostgreSQL can't run as that user."""
    try:
        name = data.owner()
    except KeyError:
        name = "an unknown user"
    if name == "root" or " " in name:
        raise StackError(
            f"{data} belongs to {name}, and PostgreSQL can't run as that user.", "`make clean` removes the data."
        )
    return name


def remove_data(settings: Settings) -> None:
    """Delete the data directory of a stopped server."""
    data = data_directory(settings)
    remove = partial(shutil.rmtree, ignore_errors=True)
    # A directory for each database, with hundreds of files. Several at once take half the time.
    with ThreadPoolExecutor() as pool:
        list(pool.map(remove, data.glob("base/*")))
    remove(data if data.is_relative_to(settings.state) else data.parent)


def _create(data: Path, binaries: Path, user: str | None) -> None:
    """Create the data directory under another name, and rename it when it is complete."""
    step(f"Creating a PostgreSQL data directory in {data}")
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    if user:
        shutil.chown(new, user)
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=reject"]
    _quietly([binaries / "initdb", "-D", new, *options], user)
    secret = secrets.token_hex(16)
    _quietly([binaries / "postgres", "--single", "-D", new, "postgres"], user, stdin=BOOTSTRAP.format(secret))
    write_private(_password_file(data), secret)
    new.rename(data)


def _password_file(data: Path) -> Path:
    return data.with_name("postgres.password")


def _quietly(command: list, user: str | None, stdin: str = "") -> None:
    options = {"env": _environment(), "cwd": "/", "text": True, "capture_output": True, **as_user(user)}
    done = subprocess.run([str(part) for part in command], input=stdin, **options)
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise StackError(f"PostgreSQL's {Path(command[0]).name} failed:\n{done.stderr.strip()}")


def _binaries(data: Path) -> Path:
    """Return the directory of the programs that created the data, or of the newest ones if there is no data."""
    if not (data / "PG_VERSION").exists():
        return packages.postgres_binaries()
    made_by = int((data / "PG_VERSION").read_text())
    binaries = packages.postgres_binaries(made_by)
    if (installed := packages.version(binaries)) != made_by:
        happened = f"{data} was created by PostgreSQL {made_by}, but {installed} is installed."
        raise StackError(happened, f"Install postgresql-{made_by}, or give up the data: `make clean`.")
    return binaries


def _owner_of_new_data() -> str:
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


def _reaches(user: str, directory: Path) -> bool:
    return subprocess.call(["test", "-x", str(directory)], cwd="/", **as_user(user)) == 0


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
