"""Builds the functions and deploys the real template into the emulated AWS, both with the SAM CLI."""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from stack import processes
from stack.console import StackError, step
from stack.files import write_private
from stack.settings import AUDIENCE, CLIENT, REGION, ROOT, STACK_NAME, Settings

TOOLS = ROOT / ".venv" / "sam" / "bin"
BUCKET = "ordermill-artifacts"
BUILT_TEMPLATE = ROOT / ".aws-sam" / "build" / "template.yaml"
# The digest of the packed files. A `sam build` by hand empties the directory, so the next command packs anew.
BUILT_FROM = BUILT_TEMPLATE.with_name("built-from")


def client(settings: Settings, service: str):
    """Return a client of the emulated AWS."""
    return boto3.client(
        service,
        endpoint_url=settings.endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 2}, proxies={}),
    )


# Functions that run on this machine alone are linked by its own linker, each crate by itself, and use its OpenSSL.
QUICK = {
    "OPENSSL_NO_VENDOR": "1",
    "CARGO_LAMBDA_COMPILER": "cargo",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}


def build(settings: Settings) -> None:
    """Run `sam build` for this machine's processor, as for AWS."""
    _build(settings, {}, target())


def build_quickly(settings: Settings) -> None:
    """Run `sam build` for this machine alone. Cargo builds in a directory of its own, beside that for AWS."""
    _build(settings, QUICK, target() / "quick")


def _build(settings: Settings, options: dict[str, str], directory: Path) -> None:
    environment = {**tool_environment(), **options, "CARGO_TARGET_DIR": str(directory)}
    # cargo runs before SAM: it builds all functions on all cores and shows its progress, which SAM would hide.
    log = settings.log("sam-build")
    log.parent.mkdir(parents=True, exist_ok=True)
    with _only_build():
        step("Building the functions (cargo lambda build --release)")
        processes.run(["cargo", "lambda", "build", "--release"], environment, ROOT)
        built_from = _digest(directory)
        if BUILT_FROM.exists() and BUILT_FROM.read_text() == built_from:
            return
        step("Packing them (sam build)")
        command = [TOOLS / "sam", "build", "--parameter-overrides", f"Architecture={architecture()}"]
        processes.run(command, environment, ROOT, log=log)
        BUILT_FROM.write_text(built_from)


def _digest(built: Path) -> str:
    """Return the digest of what `sam build` packs: the template, and the functions in cargo's directory."""
    digest = hashlib.sha256()
    for path in [ROOT / "template.yaml", *sorted((built / "lambda").glob("*/bootstrap"))]:
        digest.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def target() -> Path:
    """Return cargo's directory."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def deploy(settings: Settings, database_url: str, template: Path = BUILT_TEMPLATE) -> dict[str, str]:
    """Run `sam deploy` into the emulator. Returns the stack's outputs."""
    step("Deploying template.yaml into the emulated AWS (sam deploy)")
    client(settings, "s3").create_bucket(Bucket=BUCKET)
    config = _write_config(settings, database_url)
    command = [TOOLS / "sam", "deploy", "--template-file", template, "--config-file", config]
    log, cloudformation = settings.log("sam-deploy"), client(settings, "cloudformation")
    # SAM asks every five seconds how far AWS is. The emulator is done sooner.
    polling = {"SAM_CLI_POLL_DELAY": "0.3"}
    try:
        processes.run(command, {**tool_environment(), **settings.aws_environment, **polling}, ROOT, log=log)
    except StackError as error:
        raise _explained(error, cloudformation, settings.shown(log)) from error
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def architecture() -> str:
    """Return Lambda's name for this machine's architecture."""
    machine = platform.machine()
    names = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
    if machine not in names:
        raise StackError(f"Lambda does not support this machine's architecture ({machine}).", "Use x86_64 or arm64.")
    return names[machine]


def _explained(error: StackError, cloudformation, log: str) -> StackError:
    """Return the error with CloudFormation's first reason, or unchanged if SAM failed before the deployment."""
    try:
        events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    except ClientError:
        return error
    failed = [each for each in events if each["ResourceStatus"].endswith("_FAILED")]
    if not failed:
        return error
    first = min(failed, key=lambda each: each["Timestamp"])
    reason = first.get("ResourceStatusReason", "no reason given")
    return StackError(f"{first['LogicalResourceId']} could not be deployed: {reason}", f"SAM's whole output: {log}")


@contextlib.contextmanager
def _only_build() -> Iterator[None]:
    """Wait for the build of another stack: cargo-lambda moves its output, which would break a concurrent build."""
    with open(ROOT / "template.yaml") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_config(settings: Settings, database_url: str) -> Path:
    """Write the configuration of `sam deploy`. Only its owner can read it: it contains the database's password."""
    overrides = [
        "Stage=dev",
        f"Architecture={architecture()}",
        f"JwtIssuer={settings.issuer}",
        f"JwtAudience={AUDIENCE}",
        f"DashboardClientId={CLIENT}",
        "AdminGroup=operators",
        f"DatabaseUrl={database_url}",
        "DatabaseTls=off",
        *(_by_secret(settings, each) for each in settings.parameters),
    ]
    values = {
        "stack_name": STACK_NAME,
        "region": REGION,
        "s3_bucket": BUCKET,
        "capabilities": "CAPABILITY_IAM",
        "confirm_changeset": False,
        "parameter_overrides": overrides,
    }
    # JSON's strings, lists and booleans are valid TOML.
    settings_lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    lines = ["version = 0.1", "[default.deploy.parameters]", *settings_lines]
    path = settings.state / "samconfig.toml"
    write_private(path, "\n".join(lines) + "\n")
    return path


def _by_secret(settings: Settings, parameter: str) -> str:
    """Return the parameter. For `WebhookSecret`, create a secret with that text and return `WebhookSecretArn`."""
    name, value = parameter.split("=", 1)
    if name != "WebhookSecret":
        return parameter
    secrets = client(settings, "secretsmanager")
    return f"WebhookSecretArn={secrets.create_secret(Name='ordermill-webhook', SecretString=value)['ARN']}"


def tool_environment() -> dict[str, str]:
    """Return the variables of this process, with cargo-lambda and the SAM CLI in `PATH`."""
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0"}
