"""The addresses, tokens and names of a running stack, as a file that a shell can source."""

import shlex

from stack import issuer, pgbouncer, postgres
from stack.console import StackError
from stack.files import write_private
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
        "TOKEN_ADMIN": issuer.mint(settings, "admin", (*issuer.ORDERS, "orders/admin")),
        "TOKEN_ALICE": issuer.mint(settings, "alice"),
        "TOKEN_BOB": issuer.mint(settings, "bob"),
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
    """Return the running stack's variables. Raises :class:`StackError` if it is not running."""
    if not settings.env_file.exists():
        raise StackError("Nothing is running.", "`make up` starts it.")
    pairs = (line.split("=", 1) for line in settings.env_file.read_text().splitlines())
    return {name: shlex.split(value)[0] for name, value in pairs}
