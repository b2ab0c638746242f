"""Evaluates the parts of a template that depend on its parameters: rules, conditions, ``Fn::If``, maps.

References to resources, such as ``Fn::GetAtt``, stay unresolved.
"""

import re
from collections.abc import Mapping
from typing import Any

NO_VALUE = object()


class Evaluator:
    """Evaluates parts of a template for some parameters. The other parameters have their defaults."""

    def __init__(self, template: dict, parameters: Mapping[str, str]) -> None:
        declared = template.get("Parameters", {})
        given = {name: parameters.get(name, each.get("Default", "")) for name, each in declared.items()}
        self._parameters = {name: _typed(declared[name]["Type"], value) for name, value in given.items()}
        self._conditions = template.get("Conditions", {})
        self._mappings = template.get("Mappings", {})
        self._functions = {
            "Ref": self._ref,
            "Condition": lambda name: self.holds(name),
            "Fn::If": lambda parts: self._value(parts[1 if self.holds(parts[0]) else 2]),
            "Fn::Equals": lambda parts: str(self._value(parts[0])) == str(self._value(parts[1])),
            "Fn::Not": lambda parts: not self._value(parts[0]),
            "Fn::And": lambda parts: all(map(self._value, parts)),
            "Fn::Or": lambda parts: any(map(self._value, parts)),
            "Fn::Join": lambda parts: parts[0].join(map(str, self._value(parts[1]))),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
            "Fn::Contains": lambda parts: str(self._value(parts[1])) in parts[0],
            "Fn::EachMemberEquals": lambda parts: all(each == parts[1] for each in self._value(parts[0])),
        }

    def holds(self, condition: str) -> bool:
        """Whether the condition of this name is true."""
        return self._value(self._conditions[condition])

    def refusals(self, rules: Mapping[str, dict]) -> list[str]:
        """Return the descriptions of the template's rules that the parameters break."""
        applied = [rule for rule in rules.values() if self._value(rule.get("RuleCondition", True))]
        assertions = [each for rule in applied for each in rule["Assertions"]]
        return [each["AssertDescription"] for each in assertions if not self._value(each["Assert"])]

    def value(self, value: Any) -> Any:
        """Evaluate a value, and remove the parts whose condition is false."""
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(self._value, value) if each is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (name := next(iter(value))) in self._functions:
            return self._functions[name](value[name])
        entries = {name: self._value(each) for name, each in value.items()}
        return {name: each for name, each in entries.items() if each is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        return NO_VALUE if name == "AWS::NoValue" else self._parameters.get(name, {"Ref": name})

    def _find_in_map(self, keys: list) -> Any:
        found = self._mappings
        for key in self._value(keys):
            found = found[key]
        return found

    def _select(self, parts: list) -> Any:
        index, choices = map(self._value, parts)
        return choices[int(index)] if isinstance(choices, list) else {"Fn::Select": [index, choices]}

    def _split(self, parts: list) -> Any:
        separator, text = map(self._value, parts)
        return text.split(separator) if isinstance(text, str) else {"Fn::Split": [separator, text]}

    def _sub(self, text: Any) -> Any:
        if not isinstance(text, str):
            return {"Fn::Sub": self._value(text)}
        known = re.sub(r"\$\{(\w+)\}", lambda name: str(self._parameters.get(name[1], name[0])), text)
        return {"Fn::Sub": known} if "${" in known else known


def _typed(type_name: str, value: Any) -> Any:
    if type_name == "CommaDelimitedList":
        return str(value).split(",") if value else []
    return value
