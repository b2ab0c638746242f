"""Makes the emulated CloudFormation accept the whole template.

The emulator refuses three kinds of resources: CodeDeploy, which moves a function's alias gradually while the emulator
moves it at once; rules of networks; and alarms on metric math. An emulator could not show their effects, so here they
are accepted without effect. It also splits and joins no text in a condition, and keeps a mapping's concurrency as text,
which it can't compare with numbers. Both are corrected here.
"""

import sys
from typing import Any

from ministack.services.cloudformation import engine, provisioners

ACCEPTED = ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::EC2::SecurityGroupIngress")


def accept_template() -> None:
    """Make the emulator of this process accept the whole template. Call this before it starts."""
    for kind in ACCEPTED:
        provisioners._RESOURCE_HANDLERS[kind] = {
            "create": lambda name, properties, stack: (f"{stack}-{name}", {}),
            "update": lambda physical_id, *_: (physical_id, {}),
            "delete": lambda *_: None,
        }
    put_alarm = provisioners._cw_metric_alarm_put
    provisioners._cw_metric_alarm_put = lambda name, alarm: (name, {}) if "Metrics" in alarm else put_alarm(name, alarm)
    mapping = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create_mapping = mapping["create"]
    mapping["create"] = lambda name, properties, stack: create_mapping(name, _with_number(properties), stack)
    evaluate = engine._evaluate_conditions

    def evaluate_texts(template: dict, params: dict) -> dict:
        return evaluate({**template, "Conditions": _with_texts(template.get("Conditions", {}), params)}, params)

    for name, module in list(sys.modules.items()):
        if name.startswith("ministack.") and getattr(module, "_evaluate_conditions", None) is evaluate:
            module._evaluate_conditions = evaluate_texts


def _with_number(mapping: dict) -> dict:
    concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
    return {**mapping, "ScalingConfig": {"MaximumConcurrency": concurrency}}


def _with_texts(value: Any, params: dict) -> Any:
    """Return the conditions with each ``Fn::Split`` and ``Fn::Join`` replaced by its value."""
    if isinstance(value, list):
        return [_with_texts(each, params) for each in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Split" in value or "Fn::Join" in value:
        return engine._resolve_refs(value, {}, params, {}, {}, "", "")
    return {key: _with_texts(each, params) for key, each in value.items()}
