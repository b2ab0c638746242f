"""Prints template.yaml as CloudFormation would deploy it: ``python -m stack.template Stage=prod``.

The SAM resources are translated, and what the parameters decide is decided. What only a deployment knows stays:
references to other resources.
"""

import json
import os
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from stack.intrinsics import Evaluator
from stack.settings import REGION, ROOT


class NoManagedPolicies:
    """Stands in for IAM, which is asked for the managed policies that a function names; ours name none."""

    def load(self) -> dict:
        """No policies."""
        return {}


def processed(parameters: dict[str, str]) -> dict:
    """The template with these parameters."""
    source = yaml_parse((ROOT / "template.yaml").read_text())
    # The translator takes code from S3 alone, where `sam deploy` puts it.
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    translated = transform(source, {}, NoManagedPolicies())
    evaluator = Evaluator(translated, parameters)
    resources = {
        name: evaluator.value({key: part for key, part in each.items() if key != "Condition"})
        for name, each in translated["Resources"].items()
        if "Condition" not in each or evaluator.holds(each["Condition"])
    }
    return {**translated, "Resources": resources}


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    json.dump(processed(dict(each.split("=", 1) for each in sys.argv[1:])), sys.stdout)
