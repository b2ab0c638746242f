"""The inner loop: `cargo lambda watch` rebuilds and restarts a function at each change, and serves its calls.

The deployment is template.yaml without release builds. The code of each function is a line of shell that runs the
binary of the dev profile. The deployment runs `migrate` that way; the emulator passes calls of the others to the
watcher.
"""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

from stack import dev_runner, ports, processes
from stack.console import step
from stack.deploy import TOOLS, client, target, tool_environment
from stack.files import write_private
from stack.lifecycle import Functions, everything
from stack.records import Records
from stack.settings import HOST, ROOT, Settings

NAME = "watch"
# The deployment runs this function, before the watcher starts.
UNWATCHED = "migrate"
SERVERLESS = "AWS::Serverless::Function"
SHELL = "#!/bin/sh\nexec {binary}\n"


def bring_up(settings: Settings, records: Records) -> None:
    """Start a stack whose functions are rebuilt at each change."""
    ports.check_free(settings, ("the watched functions", settings.watch_port, "WATCH_PORT"))
    template = _directory(settings) / "template.json"
    everything(settings, records, Functions(build=_build, template=template, serve=_watch))


@contextlib.contextmanager
def shown_log(settings: Settings) -> Iterator[None]:
    """Print the watcher's and the functions' logs during the block."""
    # It ends with this process, even if that is killed.
    command = ["tail", "--lines=+1", "--follow", f"--pid={os.getpid()}", settings.log(NAME)]
    log = subprocess.Popen(command, start_new_session=True)
    try:
        yield
    finally:
        log.terminate()
        log.wait()


def _build(settings: Settings) -> None:
    step("Building the functions (cargo build)")
    processes.run(["cargo", "build"], tool_environment(), ROOT)
    template = yaml_parse((ROOT / "template.yaml").read_text())
    del template["Globals"]["Function"]["CodeUri"]
    for function in template["Resources"].values():
        if function["Type"] == SERVERLESS:
            _replace_code(settings, function)
    (_directory(settings) / "template.json").write_text(json.dumps(template))


def _replace_code(settings: Settings, function: dict) -> None:
    binary = function.pop("Metadata")["BuildProperties"]["Binary"]
    code = _directory(settings) / "code" / binary
    code.mkdir(parents=True, exist_ok=True)
    bootstrap = code / "bootstrap"
    bootstrap.write_text(SHELL.format(binary=shlex.quote(str(target() / "debug" / binary))))
    bootstrap.chmod(0o755)
    function["Properties"]["CodeUri"] = str(code)
    if binary != UNWATCHED:
        url = f"http://{HOST}:{settings.watch_port}/2015-03-31/functions/{binary}/invocations"
        environment = function["Properties"].setdefault("Environment", {})
        environment.setdefault("Variables", {})["MINISTACK_LAMBDA_PROXY_URL"] = url


def _watch(settings: Settings, records: Records) -> None:
    step("Watching the functions (cargo lambda watch)")
    _write_variables(settings)
    host = subprocess.check_output(["rustc", "-vV"], text=True).split("host: ")[1].split()[0]
    # The path may contain spaces, at which cargo would split the variable for the runner.
    runner = f"target.{host}.runner={json.dumps([dev_runner.__file__])}"
    environment = {**tool_environment(), dev_runner.DIRECTORY: str(_directory(settings))}
    if not sys.stdout.isatty():
        environment["NO_COLOR"] = "1"
    command = ["env", f"--chdir={ROOT}", TOOLS / "cargo-lambda", "lambda", "watch", "--config", runner]
    address = ["--invoke-address", HOST, "--invoke-port", str(settings.watch_port)]
    server = processes.start(NAME, [str(word) for word in [*command, *address]], environment, settings.log(NAME))
    records.add(server)
    processes.wait_until(lambda: _listens(settings.watch_port), server, settings.log(NAME))


def _write_variables(settings: Settings) -> None:
    """Write the variables of each deployed function into a file for :mod:`stack.dev_runner`."""
    for function in client(settings, "lambda").list_functions()["Functions"]:
        binary = re.search(r"-(\w+)Function-", function["FunctionName"])[1].lower()
        variables = {**function["Environment"]["Variables"], **settings.aws_environment}
        write_private(_directory(settings) / f"{binary}.json", json.dumps(variables))


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _directory(settings: Settings) -> Path:
    return settings.state / "dev"
