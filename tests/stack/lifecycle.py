"""Brings a stack up and takes it down.

The servers start first and come up while the functions build; then the template is deployed, and only a stack whose API
reaches its database is called up. Whatever fails on the way, all that was started is stopped again.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from stack import api, deploy, emulator, envfile, gateway, issuer, mapping, pgbouncer, ports, postgres
from stack.console import StackError, step
from stack.records import Busy, Records, locked
from stack.settings import Settings

BringUp = Callable[[Settings, Records], None]


@dataclass(frozen=True)
class Functions:
    """How the functions come to be and to run: built as they are deployed, and run by the emulator, unless said."""

    build: Callable[[Settings], None] = deploy.build
    template: Path = deploy.BUILT_TEMPLATE
    serve: BringUp | None = None


def up(settings: Settings, foreground: bool = False, fresh: bool = False, bring_up: BringUp | None = None) -> bool:
    """Bring the stack up. Returns false, having changed nothing, when it is up already.

    With `foreground` the servers belong to this command: should it be killed, the next command clears them away.
    With `fresh` it begins with an empty database. With `bring_up` it is made of other things: :func:`everything` and
    :func:`only` make one.
    """
    with locked(settings):
        records = Records.load(settings)
        if records.running and settings.env_file.exists():
            return False
        _clear_remains(settings, records)
        ports.check_free(settings)
        if fresh:
            postgres.remove_data(settings)
        try:
            if foreground:
                records.own()
            (bring_up or everything(Functions()))(settings, records)
        except BaseException:
            step("Stopping what was started")
            _clear(settings, records)
            raise
    return True


@contextlib.contextmanager
def temporary(settings: Settings, bring_up: BringUp | None = None) -> Iterator[None]:
    """A stack with an empty database, for as long as the block runs. Raises :class:`StackError` when it is up."""
    if not up(settings, foreground=True, fresh=True, bring_up=bring_up):
        raise StackError("This stack is running already.", "Wait for the other command, or stop it.")
    try:
        yield
    finally:
        step("Stopping everything")
        down(settings)


def down(settings: Settings) -> bool:
    """Take the stack down. Returns false when nothing was running."""
    with locked(settings):
        records = Records.load(settings)
        ran = any(server.alive for server in records.servers)
        _clear(settings, records)
    return ran


def clean(settings: Settings) -> None:
    """Take the stack down and delete its data, keys and logs."""
    if settings.state.exists():
        down(settings)
        postgres.remove_data(settings)
        shutil.rmtree(settings.state)


def watch(settings: Settings) -> None:
    """Return once another command has taken the stack down. Raises :class:`StackError` when a server ends by itself."""
    while Records.load(settings).servers:
        time.sleep(0.5)
        try:
            with locked(settings):
                _stop_if_broken(settings, Records.load(settings))
        except Busy:
            continue


def only(*modules: ModuleType) -> BringUp:
    """What brings up the servers of these modules, PostgreSQL and an AWS among them, and deploys nothing."""

    def bring_up(settings: Settings, records: Records) -> None:
        step(f"Starting {' and '.join(module.NAME for module in modules)}")
        _start(settings, records, modules)
        _wait(settings, records, modules)
        database, calls = postgres.url(settings), str(settings.calls)
        envfile.save(settings, {"DATABASE_URL": database, "CALLS": calls, **settings.aws_environment})

    return bring_up


def _stop_if_broken(settings: Settings, records: Records) -> None:
    dead = [server.name for server in records.servers if not server.alive]
    if dead:
        _clear(settings, records)
        logs = " and ".join(settings.shown(settings.log(name)) for name in dead)
        raise StackError(f"{' and '.join(dead)} stopped unexpectedly; the rest was stopped too.", f"See {logs}.")


def everything(functions: Functions) -> BringUp:
    """What brings up the whole stack, with functions like these."""
    return lambda settings, records: _bring_up(settings, records, functions)


def _bring_up(settings: Settings, records: Records, functions: Functions) -> None:
    step("Starting PostgreSQL, the emulated AWS and a token issuer")
    modules = [postgres, *([pgbouncer] if settings.pooler_port else []), emulator, issuer]
    _start(settings, records, modules)
    functions.build(settings)
    _wait(settings, records, modules)
    outputs = _deploy(settings, functions.template)
    gateway.create_routes(settings)
    mapping.mend(settings)
    if functions.serve:
        functions.serve(settings, records)
    api.wait_healthy(envfile.write(settings, outputs)["API_URL"])


def _deploy(settings: Settings, template: Path) -> dict[str, str]:
    if settings.pooler_port is None:
        return deploy.deploy(settings, postgres.url(settings), template)
    # Migrations hold a lock for a session, which is not to be had by way of the pooler.
    owner = f"OwnerDatabaseUrl={postgres.url(settings)}"
    pooled = f"{pgbouncer.url(settings)}/{postgres.DATABASE}"
    return deploy.deploy(replace(settings, parameters=(*settings.parameters, owner)), pooled, template)


def _start(settings: Settings, records: Records, modules: Sequence[ModuleType]) -> None:
    for module in modules:
        records.add(module.start(settings))


def _wait(settings: Settings, records: Records, modules: Sequence[ModuleType]) -> None:
    for module, server in zip(modules, records.servers, strict=True):
        module.wait(settings, server)


def _clear_remains(settings: Settings, records: Records) -> None:
    if records.servers:
        step("Clearing away what a killed command left behind")
    _clear(settings, records)


def _clear(settings: Settings, records: Records) -> None:
    settings.env_file.unlink(missing_ok=True)
    records.stop_all()
    shutil.rmtree(settings.state / "tmp", ignore_errors=True)
