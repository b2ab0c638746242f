"""Mends the emulated queue mapping.

The emulator keeps the number of a parameter as the text it came in, and then can't compare with it.
"""

from stack.deploy import client
from stack.settings import Settings


def mend(settings: Settings) -> None:
    """Set each mapping's concurrency once more, as a number."""
    functions = client(settings, "lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency})
