"""Runs every function in its own container by `sam local`, with the stack's PostgreSQL and queue.

It prints and checks each answer. The first wrong answer ends the run.
"""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stack import api, deploy, emulator, engine, envfile, lifecycle, postgres, processes
from stack.console import StackError, good, say, step
from stack.files import write_private
from stack.records import Records
from stack.settings import HOST, REGION, ROOT, Settings

LAUNCHER = Path(__file__).with_name("sam_launcher.py")
SHOWN = 400  # the most printed characters of an answer
EVENTS = ROOT / "tests" / "events"
FIRST_ORDER = "order-1001"  # tests/events/create_order.json creates it.
ORDER = {"order_id": "order-1002", "user_id": "alice", "item_ids": ["beans"], "total_amount": 12.50}


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
        processes.run(command, self._environment, ROOT, log=log, answer=answered)
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


def check(settings: Settings) -> None:
    """Start the servers, call every function, and stop everything. Raises :class:`StackError` for a wrong answer."""
    docker = engine.address(settings)
    modules = [postgres, emulator, *([engine] if engine.is_own() else [])]
    with lifecycle.temporary(settings, lifecycle.only(*modules)):
        if engine.is_own():
            engine.make_image(settings)
        deploy.build(settings)
        sam = Sam(settings, docker, _variables(settings))
        _migrate(settings, sam)
        _invoke_each(sam)
        with sam.api() as url:
            _call(url)
    good("Every function answered correctly.")


def _variables(settings: Settings) -> dict[str, str]:
    """Return the functions' variables that differ from the template."""
    sqs = deploy.client(settings, "sqs")
    return {
        "STAGE": "dev",
        # `sam local` does not support JWT authorizers.
        "AUTH": "off",
        "DATABASE_URL": envfile.read(settings)["DATABASE_URL"],
        "DATABASE_TLS": "off",
        # `sam local` uses every parameter's default, and therefore the template's settings for a created database.
        "DATABASE_AUTH": "",
        "DATABASE_SECRET_ARN": "",
        "DATABASE_APP_ROLE": "",
        "QUEUE_URL": sqs.create_queue(QueueName="orders")["QueueUrl"],
        "DLQ_URL": sqs.create_queue(QueueName="dead-letters")["QueueUrl"],
        "CANCEL_WINDOW_SECONDS": "0",
        "PROCESSING_DELAY_SECONDS": "0",
    }


def _migrate(settings: Settings, sam: Sam) -> None:
    """Invoke the custom resource, which sends its answer to a URL of S3, as CloudFormation's are."""
    s3, place = deploy.client(settings, "s3"), {"Bucket": "answers", "Key": "migrate"}
    s3.create_bucket(Bucket=place["Bucket"])
    sam.invoke("MigrateFunction", _event("migrate") | {"ResponseURL": s3.generate_presigned_url("put_object", place)})
    answer = json.load(s3.get_object(**place)["Body"])
    say(f"    CloudFormation receives {json.dumps(answer)}")
    _check(answer, lambda answer: answer["Status"] == "SUCCESS")


def _invoke_each(sam: Sam) -> None:
    _check(sam.invoke("ApiFunction", _event("create_order")), lambda answer: answer["statusCode"] == 201)
    _check(sam.invoke("ProcessorFunction", _event("orders_batch")), lambda answer: answer == {"batchItemFailures": []})
    _check(sam.invoke("SweeperFunction", _event("sweep")), lambda answer: answer["unsent"] == 0)
    _check(sam.invoke("SiteFunction", _event("docs")), lambda answer: answer["statusCode"] == 200)


def _call(url: str) -> None:
    order = f"{url}/orders/{ORDER['order_id']}"
    _expect(201, f"{url}/orders", ORDER)
    _check(_expect(200, order), lambda answer: (answer["status"], answer["total_amount"]) == ("pending", "12.50"))
    _check(_expect(200, f"{url}/orders/{FIRST_ORDER}"), lambda answer: answer["status"] == "completed")
    _expect(200, f"{url}/healthz")
    with urllib.request.urlopen(f"{url}/docs", timeout=30) as page:
        say(f"    GET {url}/docs: {page.status}, {page.url}")
        _check(page.read().decode(), lambda text: "swagger-ui" in text)


def _expect(status: int, url: str, body: Any = None) -> Any:
    answer = api.expect(status, url, body=body)
    say(f"    {'GET' if body is None else 'POST'} {url}: {status}, {json.dumps(answer)}")
    return answer


def _event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def _check(answer: Any, is_right) -> None:
    try:
        right = is_right(answer)
    except (KeyError, IndexError, TypeError):
        right = False
    if not right:
        raise StackError(f"This answer is wrong: {answer}", "The logs are in .local/sam/log.")
