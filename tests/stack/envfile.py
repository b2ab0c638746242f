"""The addresses, tokens and names of a running stack, as a file that a shell can source."""

import shlex
from dataclasses import replace
from urllib.parse import urlsplit

from stack import issuer, pgbouncer, postgres
from stack.console import StackError
from stack.files import write_private
from stack.records import locked
from stack.settings import Settings

FUNCTIONS = ("Api", "Processor", "Sweeper", "Migrate", "Site")


def write(settings: Settings, outputs: dict[str, str]) -> dict[str, str]:
    """Write the file from the stack's outputs. Returns its variables."""
    # The emulator's URL of an API contains its id. The stage `$default` does not occur in the path.
    url = f"{settings.endpoint}/_aws/execute-api/{outputs['ApiId']}"
    pooler = {"POOLER_URL": pgbouncer.url(settings)} if settings.pooler_port else {}
    values = {
        "API_URL": url,
        "SITE_URL": url,
        **_tokens(settings),
        "DATABASE_URL": postgres.url(settings),
        **pooler,
        "QUEUE_URL": outputs["QueueUrl"],
        "DLQ_URL": outputs["DlqUrl"],
        "OIDC_ISSUER": settings.issuer,
        "OIDC_KEY_FILE": str(issuer.key_file(settings)),
        **{f"{name.upper()}_FUNCTION": outputs[f"{name}FunctionName"] for name in FUNCTIONS},
        "CALLS": str(settings.calls),
        **settings.aws_environment,
    }
    save(settings, values)
    return values


def save(settings: Settings, values: dict[str, str]) -> None:
    """Write these variables into the file."""
    write_private(settings.env_file, "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))


def read(settings: Settings) -> dict[str, str]:
    """Return the running stack's variables. Raises :class:`StackError` if it is not running, or is still starting."""
    if not settings.env_file.exists():
        with locked(settings):
            raise StackError("Nothing is running.", "`make up` starts it.")
    pairs = (line.split("=", 1) for line in settings.env_file.read_text().splitlines())
    return {name: shlex.split(value)[0] for name, value in pairs}


def renew(settings: Settings) -> None:
    """Write new tokens into the running stack's file, because the old ones may have expired."""
    save(settings, {**read(settings), **_tokens(at_its_ports(settings))})


def at_its_ports(settings: Settings) -> Settings:
    """Return the settings with the ports of the running stack, which was perhaps started with others."""
    if not settings.env_file.exists():
        return settings
    env = read(settings)
    return replace(
        settings,
        postgres_port=_port(env, "DATABASE_URL") or settings.postgres_port,
        emulator_port=_port(env, "AWS_ENDPOINT_URL") or settings.emulator_port,
        issuer_port=_port(env, "OIDC_ISSUER") or settings.issuer_port,
    )


def _port(env: dict[str, str], name: str) -> int | None:
    return urlsplit(env.get(name, "")).port


def _tokens(settings: Settings) -> dict[str, str]:
    return {
        "TOKEN_ADMIN": issuer.mint(settings, "admin", (*issuer.ORDERS, "orders/admin")),
        "TOKEN_ALICE": issuer.mint(settings, "alice"),
        "TOKEN_BOB": issuer.mint(settings, "bob"),
    }
