"""Prints template.yaml as CloudFormation would deploy it, for each line of parameters: ``["Stage=prod"]``.

It translates the SAM resources and evaluates the parameters. References to other resources stay, because only a
deployment can resolve them. It refuses parameters that CloudFormation would refuse. It answers ``{"template": …}`` or
``{"refusal": "…"}``. One process answers all lines, because the translator takes long to load.
"""

import copy
import functools
import json
import logging
import os
import re
import sys
from types import SimpleNamespace
from typing import Any

from ministack.services.cloudformation import engine
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from stack import cloudformation
from stack.settings import REGION, ROOT

NO_VALUE = object()
# Replaces IAM as the source of managed policies. The template's functions name none.
NO_POLICIES = SimpleNamespace(load=dict)


def processed(parameters: dict[str, str]) -> dict:
    """Return the translated template with these parameters. Raises `ValueError` if CloudFormation would refuse them."""
    source, given = _source(), [{"Key": name, "Value": value} for name, value in parameters.items()]
    resolved = engine._resolve_parameters(source, given)
    conditions = engine._evaluate_conditions(source, resolved)
    engine._evaluate_rules(source, resolved, conditions)
    translated = transform(copy.deepcopy(source), parameters, NO_POLICIES)
    evaluator = Evaluator(translated, parameters, conditions)
    resources = {
        name: evaluator.value({key: part for key, part in each.items() if key != "Condition"})
        for name, each in translated["Resources"].items()
        if conditions.get(each.get("Condition"), True)
    }
    return {**translated, "Resources": resources}


class Evaluator:
    """Evaluates the parts of a template that depend on its parameters. References to resources stay unresolved."""

    def __init__(self, template: dict, parameters: dict[str, str], conditions: dict[str, bool]) -> None:
        self._parameters = {
            name: _typed(each["Type"], parameters.get(name, each["Default"]))
            for name, each in template["Parameters"].items()
        }
        self._conditions, self._mappings = conditions, template["Mappings"]

    def value(self, value: Any) -> Any:
        """Evaluate a value, and remove the parts whose condition is false."""
        match value:
            case {"Ref": "AWS::NoValue"}:
                return NO_VALUE
            case {"Ref": name}:
                return self._parameters.get(name, value)
            case {"Fn::If": [condition, then, otherwise]}:
                return self.value(then if self._conditions[condition] else otherwise)
            case {"Fn::FindInMap": keys}:
                return functools.reduce(dict.get, self.value(keys), self._mappings)
            case {"Fn::Sub": str(text)}:
                known = re.sub(r"\$\{(\w+)\}", lambda name: str(self._parameters.get(name[1], name[0])), text)
                return {"Fn::Sub": known} if "${" in known else known
            case list():
                return [each for each in map(self.value, value) if each is not NO_VALUE]
            case dict():
                entries = {name: self.value(each) for name, each in value.items()}
                return _combined({name: each for name, each in entries.items() if each is not NO_VALUE})
        return value


def _combined(value: dict) -> Any:
    """Combine evaluated texts by the function that the value is. One with a reference to a resource stays as it is."""
    match value:
        case {"Fn::Join": [separator, list(texts)]} if not any(isinstance(text, dict) for text in texts):
            return separator.join(map(str, texts))
        case {"Fn::Select": [index, list(choices)]}:
            return choices[int(index)]
        case {"Fn::Split": [separator, str(text)]}:
            return text.split(separator)
    return value


def _typed(type_name: str, value: Any) -> Any:
    return list(filter(None, value.split(","))) if type_name == "CommaDelimitedList" else value


@functools.cache
def _source() -> dict:
    source = yaml_parse((ROOT / "template.yaml").read_text())
    # The translator accepts only code in S3, where `sam deploy` uploads it.
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return source


def _answer(parameters: dict[str, str]) -> dict:
    try:
        return {"template": processed(parameters)}
    except ValueError as error:
        return {"refusal": str(error)}


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    cloudformation.accept_template()
    # The translator warns of unpublished metrics of its own use.
    logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)
    for line in sys.stdin:
        print(json.dumps(_answer(dict(each.split("=", 1) for each in json.loads(line)))), flush=True)
