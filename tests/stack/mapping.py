"""Corrects the emulated event source mapping.

The emulator stores a numeric parameter as text, and then can't compare it.
"""

from stack.deploy import client
from stack.settings import Settings


def correct(settings: Settings) -> None:
    """Set each mapping's concurrency again, as a number."""
    functions = client(settings, "lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency})
