"""Runs the SAM CLI with containers in the machine's own network: `sam_launcher.py local invoke …`.

The stack's servers listen only on 127.0.0.1, and containers of `sam local` can't reach that: `--docker-network host`
leaves them in the engine's default network. This launcher selects Docker's host network. It also gives the emulator of
Lambda's runtime a free port on the loopback address, because by default it listens on all addresses at a fixed port. It
passes `AWS_ENDPOINT_URL` to the containers, because the template does not contain it.
"""

import os
import socket

from docker.models.containers import ContainerCollection
from samcli.cli.main import cli

create = ContainerCollection.create


def create_on_this_machine(self: ContainerCollection, image: str, command=None, **options):
    """Create a container with the SAM CLI's options, but in the machine's own network."""
    _, port = options.pop("ports")["8080"]
    addresses = {"runtime-interface-emulator": port, "runtime-api": free_port()}
    options["entrypoint"] += [f"--{name}-address=127.0.0.1:{number}" for name, number in addresses.items()]
    options["environment"]["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    return create(self, image, command, network_mode="host", **options)


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    ContainerCollection.create = create_on_this_machine
    cli(prog_name="sam")
