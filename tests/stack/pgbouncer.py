"""PgBouncer between the functions and PostgreSQL, if ``PGBOUNCER_PORT`` is set.

It runs in transaction mode: a server connection serves one transaction, so that many client connections share few
server connections, and no session state lasts. It accepts only the application's role, listens on the loopback address,
and runs as PostgreSQL's user.
"""

import shutil
from pathlib import Path

from stack import apt, postgres, processes
from stack.files import write_private
from stack.processes import Server
from stack.settings import HOST, Settings

NAME = "pgbouncer"
# The limit for each database. Each test has its own database, so idle connections are closed soon.
SERVER_CONNECTIONS = 20
IDLE_SECONDS = 5


def start(settings: Settings) -> Server:
    """Start PgBouncer, after PostgreSQL; :func:`wait` waits until it answers."""
    program, account = apt.ensure("pgbouncer", "pgbouncer"), postgres.account(settings)
    directory = postgres.data_directory(settings).with_name(NAME)
    directory.mkdir(parents=True, exist_ok=True)
    users, configuration = directory / "users.txt", directory / "pgbouncer.ini"
    _write(users, f'"{postgres.ROLE}" "{postgres.password(settings)}"\n', account.name)
    _write(configuration, _configuration(settings, users), account.name)
    return processes.start(NAME, [program, str(configuration)], {"LC_ALL": "C.UTF-8"}, settings.log(NAME), account)


def wait(settings: Settings, server: Server) -> None:
    """Wait until PgBouncer accepts connections."""
    processes.wait_until(lambda: postgres.answers(settings.pooler_port), server, settings.log(NAME), seconds=15)


def url(settings: Settings) -> str:
    """Return its connection URL, without a database."""
    return f"postgres://{postgres.ROLE}:{postgres.password(settings)}@{HOST}:{settings.pooler_port}"


def _configuration(settings: Settings, users: Path) -> str:
    return f"""[databases]
* = host={HOST} port={settings.postgres_port}

[pgbouncer]
listen_addr = {HOST}
listen_port = {settings.pooler_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
max_db_connections = {SERVER_CONNECTIONS}
max_client_conn = 1000
server_idle_timeout = {IDLE_SECONDS}
log_connections = 0
log_disconnections = 0
"""


def _write(path: Path, text: str, owner: str | None) -> None:
    write_private(path, text)
    if owner:
        shutil.chown(path, owner)
