"""What this machine needs, looked for all at once before anything long begins, and brought with apt where it can be.

``python3 -m stack.machine`` runs with the machine's own Python: nothing is installed yet. It fails with one message
that names everything that is missing and cannot be brought, and how to get it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack import apt, packages
from stack.console import StackError, complain

PROGRAM = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
# Some of those that the build of OpenSSL, and so of the functions, asks of Perl. A perl without them is not enough.
PERL_MODULES = ("FindBin", "File::Compare", "IPC::Cmd")
CARGO_TOML = Path(__file__).resolve().parents[2] / "Cargo.toml"
RUST = "Rust {} or later"
RUST_BY_HAND = "install it from https://rustup.rs, then `. ~/.cargo/env`; an older one is renewed by `rustup update`"


@dataclass(frozen=True)
class Need:
    """Something that has to be on the machine: Debian's packages bring it, or else the user, `by_hand`."""

    name: str
    is_present: Callable[[], bool]
    packages: tuple[str, ...] = ()
    by_hand: str = ""


def ensure() -> None:
    """Bring what is missing. Raises :class:`StackError` that names all of what cannot be brought."""
    missing = [need for need in needs() if not need.is_present()]
    if not missing:
        return
    apt.install(to_install(missing, has_apt=shutil.which("apt-get") is not None, can_be_root=apt.can_be_root()))
    still = [need for need in missing if not need.is_present()]
    if still:
        raise StackError(*explained(still))


def needs() -> list[Need]:
    """Everything that `make run` and `make test` use of a machine."""
    rust = re.search(r'rust-version = "([\d.]+)"', CARGO_TOML.read_text()).group(1)
    return [
        Need(RUST.format(rust), lambda: has_rust(rust), by_hand=RUST_BY_HAND),
        Need("a C compiler and linker (cc)", _links, ("gcc", "libc6-dev")),
        Need("make", lambda: shutil.which("make") is not None, ("make",)),
        Need("Perl with its modules", _has_perl_modules, ("perl",)),
        Need("Python's venv module", _has_venv, ("python3-venv",)),
        Need("certificate authorities", _has_authorities, ("ca-certificates",)),
        Need("PostgreSQL 14 or later", lambda: packages.find() is not None, ("postgresql",)),
    ]


def to_install(missing: Sequence[Need], has_apt: bool, can_be_root: bool) -> list[str]:
    """Debian's packages that bring what is missing. Raises :class:`StackError` unless they can bring all of it."""
    if has_apt and can_be_root and all(need.packages for need in missing):
        return [package for need in missing for package in need.packages]
    raise StackError(*explained(missing))


def explained(missing: Sequence[Need]) -> tuple[str, str]:
    """What is missing, and how to get all of it."""
    listed = "\n".join(f"  - {need.name}{need.by_hand and f': {need.by_hand}'}" for need in missing)
    debian = " ".join(package for need in missing for package in need.packages)
    remedy = apt.by_hand(debian) if debian else ""
    return f"This machine lacks:\n{listed}", remedy


def has_rust(version: str, compiler: str = "rustc") -> bool:
    """Whether cargo is there, and a compiler of this version or a later one."""
    found = re.search(r"rustc (\d+)\.(\d+)", _run([compiler, "--version"]) or "")
    wanted = tuple(int(part) for part in version.split(".")[:2])
    return found is not None and tuple(map(int, found.groups())) >= wanted and _run(["cargo", "--version"]) is not None


def _links() -> bool:
    """Whether a program can be made: the compiler alone, without the C library's files, links nothing."""
    return _run(["cc", "-x", "c", "-", "-o", "/dev/null"], PROGRAM) is not None


def _has_perl_modules() -> bool:
    return _run(["perl", *(f"-M{module}" for module in PERL_MODULES), "-e", "1"]) is not None


def _has_venv() -> bool:
    return _run([sys.executable, "-c", "import ensurepip, venv"]) is not None


def _has_authorities() -> bool:
    named = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    return any(Path(path).exists() for path in (named, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"))


def _run(command: Sequence[str], text: str = "") -> str | None:
    """What a command prints; nothing where it is not there or fails."""
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    try:
        ensure()
    except StackError as error:
        complain(error)
        sys.exit(1)
