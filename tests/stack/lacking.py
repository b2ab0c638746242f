"""What the emulated CloudFormation lacks of our template, so that the very template is deployed.

It refuses three things that have no part in what an emulator can show: CodeDeploy, which moves a function's alias
little by little where the emulator moves it at once, a network's rules, and alarms on arithmetic over metrics. All are
taken here, without effect.
"""

from ministack.services.cloudformation import provisioners

NOTED = ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::EC2::SecurityGroupIngress")


def add() -> None:
    """Make the emulator of this process take them. To be called before it starts."""
    for kind in NOTED:
        provisioners._RESOURCE_HANDLERS[kind] = {"create": _create, "update": _update, "delete": _delete}
    put_alarm = provisioners._cw_metric_alarm_put
    provisioners._cw_metric_alarm_put = lambda name, alarm: (name, {}) if "Metrics" in alarm else put_alarm(name, alarm)


def _create(logical_id: str, properties: dict, stack_name: str) -> tuple[str, dict]:
    return f"{stack_name}-{logical_id}", {}


def _update(physical_id: str, old: dict, new: dict, stack_name: str) -> tuple[str, dict]:
    return physical_id, {}


def _delete(physical_id: str, properties: dict) -> None:
    """There is nothing to delete."""
