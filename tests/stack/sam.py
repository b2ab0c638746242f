"""`sam local`: invokes functions or serves the HTTP API, in containers."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stack import deploy, engine, processes
from stack.console import StackError, say, step
from stack.files import write_private
from stack.records import Records
from stack.settings import HOST, REGION, ROOT, Settings

LAUNCHER = Path(__file__).with_name("sam_launcher.py")
SHOWN = 400  # the most printed characters of an answer


class Sam:
    """Runs the functions of the built template with these variables."""

    def __init__(self, settings: Settings, docker: str, variables: dict[str, str]) -> None:
        self._settings = settings
        self._environment = {**deploy.tool_environment(), **settings.aws_environment, "DOCKER_HOST": docker}
        self._variables = settings.state / "functions.json"
        write_private(self._variables, json.dumps({"Parameters": variables}))

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke the function with the event, and return its answer."""
        step(f"sam local invoke {function}")
        directory, log = self._settings.state / "tmp", self._settings.log(f"sam-{function}")
        asked, answered = directory / "event.json", directory / "answer.json"
        asked.write_text(json.dumps(event))
        command = self._command("invoke", function, "--event", str(asked))
        processes.run(command, self._environment, ROOT, quiet=log, answer=answered)
        answer = answered.read_text().strip()
        say(f"    {answer[:SHOWN]}{'…' if len(answer) > SHOWN else ''}")
        try:
            return json.loads(answer)
        except ValueError as error:
            raise StackError(f"{function} gave no answer:\n{processes.tail(log, 20)}") from error

    @contextlib.contextmanager
    def api(self) -> Iterator[str]:
        """Serve the HTTP API during the block. Yields its URL."""
        step("sam local start-api")
        port = self._settings.issuer_port  # There is no issuer here.
        log = self._settings.log("sam-api")
        command = self._command("start-api", "--host", HOST, "--port", str(port), "--warm-containers", "LAZY")
        server = processes.start("sam-api", command, self._environment, log)
        # Record it, so that the next command stops it if this one is killed.
        Records.load(self._settings).add(server)
        processes.wait_until(lambda: "Running on" in log.read_text(), server, log)
        try:
            yield f"http://{HOST}:{port}"
        finally:
            server.stop()

    def _command(self, *words: str) -> list[str]:
        python = deploy.TOOLS / "python"
        options = ["--template-file", deploy.BUILT_TEMPLATE, "--env-vars", self._variables, "--region", REGION]
        options += ["--parameter-overrides", f"Architecture={deploy.architecture()}"]
        options += ["--invoke-image", engine.IMAGE, "--skip-pull-image"] if engine.is_own() else []
        return [str(word) for word in [python, LAUNCHER, "local", *words, *options]]
