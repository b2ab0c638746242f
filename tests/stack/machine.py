"""Checks the machine for all required programs before anything long starts, and installs missing ones with apt.

``python3 -m stack.machine`` runs with the machine's own Python, because nothing is installed yet. If it can't install a
program, it fails with one message that lists everything that is missing, and how to get it. Python 3.9 can run it too,
and reports that it is too old: the annotations of this module and of those that it imports are not evaluated.
"""

from __future__ import annotations

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
LINK = ("cc", "-x", "c", "-", "-o", "/dev/null")
# Some of the Perl modules that the build of Lambda's OpenSSL needs. A perl without them is not enough.
PERL_MODULES = ("-MFindBin", "-MFile::Compare", "-MIPC::Cmd")
CARGO_TOML = Path(__file__).resolve().parents[2] / "Cargo.toml"
PYTHON = (3, 11)
PYTHON_BY_HAND = "Debian has it from 12 on, Ubuntu from 24.04 on; elsewhere put a newer python3 first into the PATH"
RUST_BY_HAND = "install it from https://rustup.rs, then `. ~/.cargo/env`; update an older one by `rustup update`"
LINTS_BY_HAND = "`rustup component add clippy rustfmt`, or the distribution's packages"


@dataclass(frozen=True)
class Need:
    """A requirement of the machine. Debian's packages provide it, or else the user has to install it, `by_hand`."""

    name: str
    is_present: Callable[[], bool]
    packages: tuple[str, ...] = ()
    by_hand: str = ""


def ensure() -> None:
    """Install what is missing. Raises :class:`StackError` with everything that can't be installed."""
    missing = [need for need in needs() if not need.is_present()]
    if missing and apt.is_usable() and all(need.packages for need in missing):
        apt.install(_packages(missing))
        missing = [need for need in missing if not need.is_present()]
    if missing:
        listed = "\n".join(f"  - {need.name}{need.by_hand and f': {need.by_hand}'}" for need in missing)
        debian = " ".join(_packages(missing))
        raise StackError(f"This machine lacks:\n{listed}", apt.by_hand(debian) if debian else "")


def needs() -> list[Need]:
    """Return all requirements of `make run` and `make test`."""
    rust = re.search(r'rust-version = "([\d.]+)"', CARGO_TOML.read_text()).group(1)
    return [
        Need("Python {}.{} or later".format(*PYTHON), lambda: sys.version_info >= PYTHON, by_hand=PYTHON_BY_HAND),
        Need(f"Rust {rust} or later", lambda: has_rust(rust), by_hand=RUST_BY_HAND),
        # Clippy compiles the tests.
        Need(
            "Clippy and rustfmt",
            lambda: _runs("clippy-driver", "--version") and _runs("rustfmt", "--version"),
            by_hand=LINTS_BY_HAND,
        ),
        # A program can be linked only with the C library's files.
        Need("a C compiler and linker (cc)", lambda: _run(LINK, PROGRAM) is not None, ("gcc", "libc6-dev")),
        Need("make", lambda: shutil.which("make") is not None, ("make",)),
        Need(
            "OpenSSL 3 with its headers, and pkg-config",
            lambda: _runs("pkg-config", "--exists", "openssl >= 3"),
            ("libssl-dev", "pkg-config"),
        ),
        Need("Perl with its modules", lambda: _runs("perl", *PERL_MODULES, "-e", "1"), ("perl",)),
        Need("Python's venv module", lambda: _runs(sys.executable, "-c", "import ensurepip, venv"), ("python3-venv",)),
        Need("certificate authorities", _has_authorities, ("ca-certificates",)),
        Need(f"PostgreSQL {packages.OLDEST} or later", lambda: packages.find() is not None, ("postgresql",)),
    ]


def _packages(missing: Sequence[Need]) -> list[str]:
    return [package for need in missing for package in need.packages]


def has_rust(version: str, compiler: str = "rustc") -> bool:
    """Whether cargo is installed, and a compiler of this version or a later one."""
    found = re.search(r"rustc (\d+)\.(\d+)", _run([compiler, "--version"]) or "")
    required = tuple(int(part) for part in version.split(".")[:2])
    return found is not None and tuple(map(int, found.groups())) >= required and _runs("cargo", "--version")


def _has_authorities() -> bool:
    named = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    return any(Path(path).exists() for path in (named, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"))


def _runs(*command: str) -> bool:
    return _run(command) is not None


def _run(command: Sequence[str], text: str = "") -> str | None:
    """Return the output of a command, or `None` if it is missing or fails."""
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
