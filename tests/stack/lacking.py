"""Makes the emulated CloudFormation accept the whole template.

The emulator refuses three kinds of resources: CodeDeploy, which moves a function's alias gradually while the emulator
moves it at once; rules of networks; and alarms on metric math. An emulator could not show their effects, so here they
are accepted without effect.
"""

from ministack.services.cloudformation import provisioners

ACCEPTED = ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::EC2::SecurityGroupIngress")


def add() -> None:
    """Make the emulator of this process accept them. Call this before it starts."""
    for kind in ACCEPTED:
        provisioners._RESOURCE_HANDLERS[kind] = {"create": _create, "update": _update, "delete": _delete}
    put_alarm = provisioners._cw_metric_alarm_put
    provisioners._cw_metric_alarm_put = lambda name, alarm: (name, {}) if "Metrics" in alarm else put_alarm(name, alarm)


def _create(logical_id: str, properties: dict, stack_name: str) -> tuple[str, dict]:
    return f"{stack_name}-{logical_id}", {}


def _update(physical_id: str, old: dict, new: dict, stack_name: str) -> tuple[str, dict]:
    return physical_id, {}


def _delete(physical_id: str, properties: dict) -> None:
    """Do nothing: nothing was created."""
