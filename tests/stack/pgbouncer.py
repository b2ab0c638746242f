"""PgBouncer between the functions and PostgreSQL, if ``PGBOUNCER_PORT`` is set.

In transaction mode: a connection of the server's is lent out for a transaction, so that many of the functions' share
few, and nothing that belongs to a session can be relied on. It keeps prepared statements, unless the functions prepare
none. It knows the application's role alone, takes connections on the loopback address, and runs as the user that
PostgreSQL runs as.

Prepared statements are kept from 1.21 on, which Debian 12 is too old for: `make` builds it from the source package of
Debian 13 (``pgbouncer.sh``).
"""

import shutil
from pathlib import Path

from stack import postgres, processes
from stack.files import write_private
from stack.processes import Server
from stack.settings import HOST, ROOT, Settings

NAME = "pgbouncer"
PROGRAM = ROOT / ".local/tools/bin/pgbouncer"
# Those of one connection; the functions have fewer.
PREPARED_STATEMENTS = 200
# Of each database, which every test has one of. They are given up soon after, so that all together stay few.
SERVER_CONNECTIONS = 20
IDLE_SECONDS = 5


def start(settings: Settings) -> Server:
    """Start it, after PostgreSQL."""
    user = postgres.account(settings)
    place = postgres.data_directory(settings).with_name(NAME)
    place.mkdir(parents=True, exist_ok=True)
    users, configuration = place / "users.txt", place / "pgbouncer.ini"
    write_private(users, f'"{postgres.ROLE}" "{postgres.password(settings)}"\n')
    write_private(configuration, _configuration(settings, users))
    if user:
        shutil.chown(users, user)
        shutil.chown(configuration, user)
    # A copy, where PostgreSQL's user can read it.
    command = [shutil.copy(PROGRAM, place / NAME), str(configuration)]
    return processes.start(NAME, command, {"LC_ALL": "C.UTF-8"}, settings.log(NAME), user)


def answers(settings: Settings) -> bool:
    """Whether PgBouncer accepts connections."""
    return postgres.accepts(settings.pooler_port)


def url(settings: Settings) -> str:
    """Return its connection URL, without a database."""
    return f"postgres://{postgres.ROLE}:{postgres.password(settings)}@{HOST}:{settings.pooler_port}"


def _configuration(settings: Settings, users: Path) -> str:
    prepared = 0 if "DatabasePrepare=off" in settings.parameters else PREPARED_STATEMENTS
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
max_prepared_statements = {prepared}
server_idle_timeout = {IDLE_SECONDS}
log_connections = 0
log_disconnections = 0
"""
