"""Creates the routes, the authorizer and the CORS settings of the emulated HTTP API.

SAM configures API Gateway by an OpenAPI document, which the emulator ignores. This module reads the document from the
deployed stack and creates its content by individual calls.
"""

import re
from typing import Any

from stack.deploy import client
from stack.intrinsics import Evaluator
from stack.settings import REGION, STACK_NAME, Settings

ACCOUNT = "000000000000"
INTEGRATION = "x-amazon-apigateway-integration"
ANY_METHOD = "x-amazon-apigateway-any-method"
CORS = "x-amazon-apigateway-cors"


class Resolver:
    """Resolves the document's references to resources of the stack."""

    def __init__(self, cloudformation) -> None:
        resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
        self.resources = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        self._names = {
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::AccountId": ACCOUNT,
            "AWS::StackName": STACK_NAME,
        }

    def text(self, value: Any) -> str:
        """Resolve a string, a `Ref` or a `Fn::Sub` to a string. Raises `KeyError` for an unknown name."""
        if not isinstance(value, dict):
            return str(value)
        if "Ref" in value:
            return self._name(value["Ref"])
        return re.sub(r"\$\{([^}]+)\}", lambda match: self._name(match[1]), value["Fn::Sub"])

    def _name(self, name: str) -> str:
        if name.endswith(".Arn"):
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.resources[name.removesuffix('.Arn')]}"
        return {**self._names, **self.resources}[name]


def create_routes(settings: Settings) -> int:
    """Create the API's authorizers, integrations and routes. Returns the number of routes."""
    cloudformation, gateway = client(settings, "cloudformation"), client(settings, "apigatewayv2")
    resolver = Resolver(cloudformation)
    template = cloudformation.get_template(StackName=STACK_NAME, TemplateStage="Processed")["TemplateBody"]
    name, api = next(
        (name, each) for name, each in template["Resources"].items() if each["Type"] == "AWS::ApiGatewayV2::Api"
    )
    document = Evaluator(template, _parameters(cloudformation)).value(api["Properties"]["Body"])
    api_id = resolver.resources[name]
    _allow_origins(gateway, api_id, document)
    authorizers = _create_authorizers(gateway, api_id, document, resolver)
    integrations: dict[str, str] = {}
    operations = [
        (path, method, each) for path, methods in document["paths"].items() for method, each in methods.items()
    ]
    for path, method, operation in operations:
        function = resolver.text(operation[INTEGRATION]["uri"])
        if function not in integrations:
            integrations[function] = _create_integration(gateway, api_id, function, operation[INTEGRATION])
        _create_route(gateway, api_id, _route_key(path, method), integrations[function], operation, authorizers)
    return len(operations)


def _parameters(cloudformation) -> dict[str, str]:
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def _allow_origins(gateway, api_id: str, document: dict) -> None:
    """Set the document's CORS rules, if it has some."""
    if cors := document.get(CORS):
        gateway.update_api(
            ApiId=api_id, CorsConfiguration={f"{name[0].upper()}{name[1:]}": value for name, value in cors.items()}
        )


def _create_authorizers(gateway, api_id: str, document: dict, resolver: Resolver) -> dict[str, str]:
    """Create the JWT authorizers. Returns their ids by their names in the document."""
    ids = {}
    for name, scheme in document.get("components", {}).get("securitySchemes", {}).items():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        configuration = authorizer["jwtConfiguration"]
        ids[name] = gateway.create_authorizer(
            ApiId=api_id,
            Name=name,
            AuthorizerType="JWT",
            IdentitySource=[authorizer["identitySource"]],
            JwtConfiguration={
                "Issuer": resolver.text(configuration["issuer"]),
                "Audience": [resolver.text(each) for each in configuration["audience"]],
            },
        )["AuthorizerId"]
    return ids


def _create_integration(gateway, api_id: str, function: str, integration: dict) -> str:
    return gateway.create_integration(
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationMethod=integration["httpMethod"],
        IntegrationUri=function,
        PayloadFormatVersion=integration["payloadFormatVersion"],
    )["IntegrationId"]


def _create_route(
    gateway, api_id: str, key: str, integration: str, operation: dict, authorizers: dict[str, str]
) -> None:
    route = {"ApiId": api_id, "RouteKey": key, "Target": f"integrations/{integration}"}
    for requirement in operation.get("security", []):
        for name, scopes in requirement.items():
            if name != "NONE":
                route |= {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name], "AuthorizationScopes": scopes}
    gateway.create_route(**route)


def _route_key(path: str, method: str) -> str:
    if path == "$default":
        return path
    return f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"
