"""The verbs of ``python -m stack``."""

import functools
import os
import signal
import sys
import time
from collections.abc import MutableMapping

from stack import (
    calls,
    demo,
    deploy,
    dev,
    emulator,
    envfile,
    issuer,
    lifecycle,
    localstack,
    logs,
    postgres,
    processes,
    rehearsal,
    sam_local,
    sample,
    stopping,
)
from stack.console import StackError, complain, good, say, step
from stack.records import Records
from stack.settings import HOST, ROOT, Settings

# For a stack that a person waits for. Tests and measurements build the functions as AWS would get them.
QUICKLY_BUILT = functools.partial(lifecycle.everything, functions=lifecycle.Functions(build=deploy.build_quickly))


class Stopped(BaseException):
    """A signal to stop: Ctrl-C, SIGTERM or a closed terminal."""


def run(settings: Settings) -> None:
    begun = time.monotonic()
    if not lifecycle.up(settings, foreground=True, bring_up=QUICKLY_BUILT):
        raise StackError("This stack is running already.", "Use it (`make status`) or stop it (`make down`).")
    with lifecycle.stopped_afterwards(settings):
        good(f"    Ready after {time.monotonic() - begun:.1f} s.")
        sample.create_and_follow(envfile.read(settings))
        _print_next_steps(settings)
        say("\nRunning until Ctrl-C.")
        lifecycle.watch(settings)
        say("Another command stopped the stack.")


def develop(settings: Settings) -> None:
    if not lifecycle.up(settings, foreground=True, bring_up=dev.bring_up):
        raise StackError("This stack is running already.", "Stop it first: `make down`.")
    with lifecycle.stopped_afterwards(settings):
        _print_next_steps(settings)
        say("\nEdit a function, save, call it. The functions' logs, until Ctrl-C:\n")
        with dev.shown_log(settings):
            lifecycle.watch(settings)


def show_off(settings: Settings) -> None:
    is_ours = lifecycle.up(settings, foreground=True, bring_up=QUICKLY_BUILT)
    with lifecycle.stopped_afterwards(settings) if is_ours else logs.shown_after_failure(settings):
        envfile.renew(settings)
        sample.fill(envfile.at_its_ports(settings))
        demo.run(settings)


def up(settings: Settings) -> None:
    begun = time.monotonic()
    if lifecycle.up(settings, bring_up=QUICKLY_BUILT):
        good(f"    Up after {time.monotonic() - begun:.1f} s.")
    else:
        envfile.renew(settings)
        ignored = " SAM_PARAMETERS has no effect on it: `make down` first." if settings.parameters else ""
        say(f"This stack is running already. Its tokens are new.{ignored}")
    _print_next_steps(settings)


def down(settings: Settings) -> None:
    say("The stack was stopped." if stopping.down(settings) else "Nothing was running.")


def status(settings: Settings) -> None:
    records = Records.load(settings)
    for server in records.servers:
        state, log = "running" if server.alive else "dead", settings.shown(settings.log(server.name))
        say(f"{server.name:10} {state:8} pid {server.pid}  log {log}")
    if records.abandoned:
        raise StackError("The command that started these servers was killed.", "`make down` stops them.")
    envfile.read(settings)
    if not records.running:
        raise StackError("This stack is not running.", "`make up` starts it.")
    _print_next_steps(settings)


def token(settings: Settings) -> None:
    scopes = os.environ.get("SCOPES", "").replace(",", " ").split() or issuer.ORDERS
    say(issuer.mint(envfile.at_its_ports(settings), os.environ.get("USER_NAME") or "alice", tuple(scopes)))


def execute(settings: Settings, command: list[str]) -> None:
    with lifecycle.temporary(settings):
        _run(settings, command)
        calls.check(settings)


def serve(settings: Settings) -> None:
    # Those of an earlier process may still be stopping.
    with lifecycle.temporary(settings, lifecycle.only(postgres, emulator), patience=30):
        say(settings.shown(settings.env_file))
        sys.stdin.read()


def execute_with_localstack(settings: Settings, command: list[str]) -> None:
    with lifecycle.temporary(settings, lifecycle.only(postgres, localstack)):
        _run(settings, command)


def sample_data(settings: Settings) -> None:
    env = envfile.read(settings)
    sample.fill(envfile.at_its_ports(settings))
    say(f"The sample orders are stored: {env['API_URL']}/orders")


WITH_COMMAND = ("exec", "localstack")
ENDLESS = ("run", "demo", "dev")
VERBS = {
    "run": (run, "start everything, follow a sample order to its end, run until Ctrl-C"),
    "demo": (show_off, "start everything unless it runs, keep creating orders, open the dashboard, run until Ctrl-C"),
    "dev": (develop, "start everything, rebuild functions at each change and show their logs, run until Ctrl-C"),
    "up": (up, "start everything in the background"),
    "down": (down, "stop everything; the orders stay in the database"),
    "status": (status, "show the running servers and their addresses"),
    "token": (token, "print a token for the user USER (default alice) with the scopes SCOPES"),
    "logs": (logs.show, "print the last log lines of each function"),
    "sample-data": (sample_data, "add a thousand sample orders in every state"),
    "build": (deploy.build, "build the functions for the deployment"),
    "rehearsal": (rehearsal.rehearse, "release a broken version into the running stack, and roll it back"),
    "exec": (execute, "run COMMAND within a fresh stack, whose variables are in the file STACK_ENV, and stop it"),
    "localstack": (execute_with_localstack, "run COMMAND with only PostgreSQL and LocalStack's queues"),
    "servers": (serve, "run PostgreSQL and the emulated AWS, without a deployment, until the standard input ends"),
    "sam-local": (sam_local.check, "call every function in a container by `sam local`"),
}


def main(arguments: list[str]) -> int:
    """Run the verb of the arguments. Returns the exit status: 0, 1 for a failure, 2 for wrong arguments."""
    verb, *rest = arguments or [""]
    if verb not in VERBS or bool(rest) != (verb in WITH_COMMAND):
        lines = [f"  {name:12} {text}" for name, (_, text) in VERBS.items()]
        print("usage: python -m stack VERB", *lines, sep="\n", file=sys.stderr)
        return 2
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _stop)
    pass_by_proxies(os.environ)
    try:
        VERBS[verb][0](Settings.from_environment(), *([rest] if rest else []))
    except Stopped:
        say("\nStopped.")
        return 0 if verb in ENDLESS else 1
    except StackError as error:
        complain(error)
        return 1
    except OSError as error:
        complain(StackError(f"{error}.", f"The stack's files are in {os.environ.get('STACK_DIR') or '.local'}."))
        return 1
    return 0


def pass_by_proxies(environment: MutableMapping[str, str]) -> None:
    """Make this process and its children call servers of this machine directly, without a proxy."""
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    direct = ",".join(filter(None, [named, HOST, "localhost"]))
    environment.update({"no_proxy": direct, "NO_PROXY": direct})


def _run(settings: Settings, command: list[str]) -> None:
    step(" ".join(command))
    processes.run(command, {**os.environ, "STACK_ENV": str(settings.env_file), "CALLS": str(settings.calls)}, ROOT)


def _stop(*_) -> None:
    # Ignore further signals, so that they do not interrupt the stopping.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    raise Stopped


def _print_next_steps(settings: Settings) -> None:
    env, file = envfile.read(settings), settings.shown(settings.env_file)
    say(f"""
  API     {env["API_URL"]}
  Docs    {env["SITE_URL"]}/docs
  Live    {env["SITE_URL"]}/dashboard (sign in as admin)
  Token   {env["TOKEN_ALICE"]}
          (alice, 12 hours; {file} also holds admin's and bob's, the database's URL and the queues')

Go on with:
  . {file}
  curl -H "Authorization: Bearer $TOKEN_ALICE" -H 'Content-Type: application/json' \\
       -d '{{"user_id": "alice", "item_ids": ["beans"], "total_amount": 12.50}}' "$API_URL/orders"
  curl -H "Authorization: Bearer $TOKEN_ALICE" "$API_URL/orders"
  curl -H "Authorization: Bearer $TOKEN_ADMIN" "$API_URL/metrics\"""")
