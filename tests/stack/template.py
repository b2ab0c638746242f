"""Prints template.yaml as CloudFormation would deploy it, for each line of parameters: ``["Stage=prod"]``.

It translates the SAM resources and evaluates the parameters. References to other resources stay, because only a
deployment can resolve them. It refuses parameters that CloudFormation would refuse, with the same message. It answers
``{"template": …}`` or ``{"refusal": "…"}``. One process answers all lines, because the translator takes long to load.
"""

import copy
import functools
import json
import os
import re
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from stack.console import StackError
from stack.intrinsics import Evaluator
from stack.settings import REGION, ROOT


class NoManagedPolicies:
    """Replaces IAM as the source of managed policies. The template's functions name none."""

    def load(self) -> dict:
        """Return no policies."""
        return {}


def processed(parameters: dict[str, str]) -> dict:
    """Return the translated template with these parameters."""
    translated = transform(copy.deepcopy(_source()), parameters, NoManagedPolicies())
    evaluator = Evaluator(translated, parameters)
    refused = [*_malformed(translated["Parameters"], parameters), *evaluator.refusals(translated["Rules"])]
    if refused:
        raise StackError("; ".join(refused))
    resources = {
        name: evaluator.value({key: part for key, part in each.items() if key != "Condition"})
        for name, each in translated["Resources"].items()
        if "Condition" not in each or evaluator.holds(each["Condition"])
    }
    return {**translated, "Resources": resources}


@functools.cache
def _source() -> dict:
    source = yaml_parse((ROOT / "template.yaml").read_text())
    # The translator accepts only code in S3, where `sam deploy` uploads it.
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return source


def _answer(parameters: dict[str, str]) -> dict:
    try:
        return {"template": processed(parameters)}
    except StackError as error:
        return {"refusal": str(error)}


def _malformed(declared: dict[str, dict], parameters: dict[str, str]) -> list[str]:
    """Return a message for each parameter whose declaration does not allow its value."""

    def allowed(value: str, rule: dict) -> bool:
        number = float(value) if rule["Type"] == "Number" else 0
        return (
            re.fullmatch(rule.get("AllowedPattern", ".*"), value) is not None
            and value in map(str, rule.get("AllowedValues", [value]))
            and rule.get("MinValue", number) <= number <= rule.get("MaxValue", number)
        )

    return [
        f"{name} {declared[name].get('ConstraintDescription', 'is out of its bounds')}"
        for name, value in parameters.items()
        if not allowed(value, declared[name])
    ]


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    for line in sys.stdin:
        print(json.dumps(_answer(dict(each.split("=", 1) for each in json.loads(line)))), flush=True)
