"""Starts and stops a stack.

The servers start first, while the functions build. Then the template is deployed, and the stack is ready when the API
reaches its database. After a failure everything that was started is stopped again.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

from stack import api, deploy, emulator, envfile, issuer, logs, pgbouncer, ports, postgres, processes
from stack.console import StackError, step
from stack.records import Busy, Records, locked
from stack.settings import Settings
from stack.stopping import clear, down

BringUp = Callable[[Settings, Records], None]


@dataclass(frozen=True)
class Functions:
    """How to build, deploy and run the functions. By default `sam build` builds them, and the emulator runs them."""

    build: Callable[[Settings], None] = deploy.build
    template: Path = deploy.BUILT_TEMPLATE
    serve: BringUp | None = None


def up(settings: Settings, foreground: bool = False, fresh: bool = False, bring_up: BringUp | None = None) -> bool:
    """Start the stack. Returns false, without a change, if it is running already.

    With `foreground` the servers belong to this command: if it is killed, the next command stops them. With `fresh`
    the database is empty at first. `bring_up` selects the parts to start: :func:`everything` or :func:`only`.
    """
    with locked(settings):
        records = Records.load(settings)
        if records.running and settings.env_file.exists():
            return False
        if records.servers:
            step("Stopping the servers of a killed command")
        clear(settings, records)
        ports.check_free(settings)
        if fresh:
            postgres.remove_data(settings)
        try:
            if foreground:
                records.own()
            with logs.shown_after_failure(settings):
                (bring_up or everything)(settings, records)
        except BaseException:
            step("Stopping the started servers")
            clear(settings, records)
            raise
    return True


@contextlib.contextmanager
def temporary(settings: Settings, bring_up: BringUp | None = None, patience: float = 0) -> Iterator[None]:
    """Run a stack with an empty database during the block.

    Raises :class:`StackError` if another command still runs, starts or stops it after `patience` seconds.
    """
    settings = replace(settings, keeps_data=False)
    end = time.monotonic() + patience
    while True:
        try:
            if up(settings, foreground=True, fresh=True, bring_up=bring_up):
                break
            problem = StackError("This stack is running already.", "Wait for the other command, or stop it.")
        except Busy as busy:
            problem = busy
        if time.monotonic() >= end:
            raise problem
        time.sleep(0.5)
    with stopped_afterwards(settings):
        yield


@contextlib.contextmanager
def stopped_afterwards(settings: Settings) -> Iterator[None]:
    """Stop the stack after the block, unless another command is doing so. If the block fails, print the last logs."""
    try:
        with logs.shown_after_failure(settings):
            yield
    finally:
        step("Stopping everything")
        with contextlib.suppress(Busy):
            down(settings)


def watch(settings: Settings) -> None:
    """Wait until another command stops the stack. Raises :class:`StackError` if a server ends by itself."""
    while Records.load(settings).servers:
        time.sleep(0.5)
        with contextlib.suppress(Busy), locked(settings):
            _stop_if_broken(settings, Records.load(settings))


def only(*modules: ModuleType) -> BringUp:
    """Return a function that starts only these servers, PostgreSQL and an AWS among them, without a deployment."""

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
        clear(settings, records)
        files = " and ".join(settings.shown(settings.log(name)) for name in dead)
        raise StackError(f"{' and '.join(dead)} stopped unexpectedly; the rest was stopped too.", f"See {files}.")


def everything(settings: Settings, records: Records, functions: Functions = Functions()) -> None:
    """Start the whole stack with these functions."""
    step("Starting PostgreSQL, the emulated AWS and a token issuer")
    modules = [postgres, *([pgbouncer] if settings.pooler_port else []), emulator, issuer]
    _start(settings, records, modules)
    functions.build(settings)
    _wait(settings, records, modules)
    outputs = _deploy(settings, functions.template)
    if functions.serve:
        functions.serve(settings, records)
    api.wait_healthy(envfile.write(settings, outputs)["API_URL"])


def _deploy(settings: Settings, template: Path) -> dict[str, str]:
    if settings.pooler_port is None:
        return deploy.deploy(settings, postgres.url(settings), template)
    # Migrations hold a lock for a session, which the pooler does not support.
    owner = f"OwnerDatabaseUrl={postgres.url(settings)}"
    pooled = f"{pgbouncer.url(settings)}/{postgres.DATABASE}"
    return deploy.deploy(replace(settings, parameters=(*settings.parameters, owner)), pooled, template)


def _start(settings: Settings, records: Records, modules: Sequence[ModuleType]) -> None:
    for module in modules:
        records.add(module.start(settings))


def _wait(settings: Settings, records: Records, modules: Sequence[ModuleType]) -> None:
    for module, server in zip(modules, records.servers, strict=True):
        processes.wait_until(partial(module.answers, settings), server, settings.log(module.NAME))
