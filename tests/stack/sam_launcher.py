"""The SAM CLI, with containers that share the machine's loopback address: `sam_launcher.py local invoke …`.

Our servers listen on 127.0.0.1 alone, and `sam local` has no way to let a container reach that: `--docker-network host`
leaves it in the engine's default network. So Docker's host network is asked for here, in which the emulator of Lambda's
runtime, which listens on every address and the same port by default, is given a free port of the loopback address. And
where AWS is, which a template has no business to say, is passed on from the environment.
"""

import os
import socket

from docker.models.containers import ContainerCollection
from samcli.cli.main import cli

create = ContainerCollection.create


def create_on_this_machine(self: ContainerCollection, image: str, command=None, **options):
    """Create a container as the SAM CLI wants it, but in the machine's own network."""
    _, port = options.pop("ports")["8080"]
    addresses = {"runtime-interface-emulator": port, "runtime-api": free_port()}
    options["entrypoint"] += [f"--{name}-address=127.0.0.1:{number}" for name, number in addresses.items()]
    options["environment"]["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    return create(self, image, command, network_mode="host", **options)


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    ContainerCollection.create = create_on_this_machine
    cli(prog_name="sam")
