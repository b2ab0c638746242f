"""Every function in a container of its own by `sam local`, against a PostgreSQL and a queue of the stack's.

What each answers is printed, and checked: the first answer that is not as it should be ends the run.
"""

import json
import urllib.request
from typing import Any

from stack import api, deploy, emulator, engine, envfile, lifecycle, postgres
from stack.console import StackError, good, say
from stack.custom_resource import answering
from stack.sam import Sam
from stack.settings import ROOT, Settings

EVENTS = ROOT / "tests" / "events"
PLACED = "order-1001"  # by tests/events/create_order.json
ORDER = {"order_id": "order-1002", "user_id": "alice", "item_ids": ["beans"], "total_amount": 12.50}


def check(settings: Settings) -> None:
    """Bring the servers up, call every function, and stop everything. Raises :class:`StackError` for a wrong answer."""
    docker = engine.address(settings)
    modules = [postgres, emulator, *([engine] if engine.is_own() else [])]
    with lifecycle.temporary(settings, lifecycle.only(*modules)):
        if engine.is_own():
            engine.make_image(settings)
        deploy.build(settings)
        sam = Sam(settings, docker, _variables(settings))
        _invoke_each(sam)
        with sam.api() as url:
            _call(url)
    good("Every function answered as it should.")


def _variables(settings: Settings) -> dict[str, str]:
    """The functions' environment, as far as it is not the template's."""
    sqs = deploy.client(settings, "sqs")
    return {
        "STAGE": "dev",
        # `sam local` knows no JWT authorizer.
        "AUTH": "off",
        "DATABASE_URL": envfile.read(settings)["DATABASE_URL"],
        "DATABASE_TLS": "off",
        # `sam local` takes every parameter for its default, and so the database for one that the template creates.
        "DATABASE_AUTH": "",
        "DATABASE_SECRET_ARN": "",
        "DATABASE_APP_ROLE": "",
        "QUEUE_URL": sqs.create_queue(QueueName="orders")["QueueUrl"],
        "DLQ_URL": sqs.create_queue(QueueName="dead-letters")["QueueUrl"],
        "CANCEL_WINDOW_SECONDS": "0",
        "PROCESSING_DELAY_SECONDS": "0",
    }


def _invoke_each(sam: Sam) -> None:
    with answering() as (url, answers):
        sam.invoke("MigrateFunction", _event("migrate") | {"ResponseURL": url})
    _check(answers, lambda told: told[0]["Status"] == "SUCCESS")
    _check(sam.invoke("ApiFunction", _event("create_order")), lambda answer: answer["statusCode"] == 201)
    _check(sam.invoke("ProcessorFunction", _event("orders_batch")), lambda answer: answer == {"batchItemFailures": []})
    _check(sam.invoke("SweeperFunction", _event("sweep")), lambda answer: answer["unsent"] == 0)
    _check(sam.invoke("SiteFunction", _event("docs")), lambda answer: answer["statusCode"] == 200)


def _call(url: str) -> None:
    order = f"{url}/orders/{ORDER['order_id']}"
    _expect(201, f"{url}/orders", ORDER)
    _check(_expect(200, order), lambda answer: (answer["status"], answer["total_amount"]) == ("pending", "12.50"))
    _check(_expect(200, f"{url}/orders/{PLACED}"), lambda answer: answer["status"] == "completed")
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
        raise StackError(f"That is not what was to be answered: {answer}", "The logs are in .local/sam/log.")
