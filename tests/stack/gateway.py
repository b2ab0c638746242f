"""Creates the authorizers, routes and CORS rules of the emulated HTTP API.

SAM configures API Gateway by an OpenAPI document, which the emulator ignores.
"""

from ministack.services.cloudformation import provisioners

INTEGRATION = "x-amazon-apigateway-integration"
ANY_METHOD = "x-amazon-apigateway-any-method"


def read_documents() -> None:
    """Have the emulator of this process create each API's routes from its document. Call this before it starts."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create = handlers["create"]

    def create_with_routes(logical_id: str, properties: dict, stack_name: str) -> tuple[str, dict]:
        document = properties["Body"]
        cors = document.get("x-amazon-apigateway-cors")
        api_id, attributes = create(logical_id, {**properties, "CorsConfiguration": cors}, stack_name)
        _create_routes(api_id, document)
        return api_id, attributes

    handlers["create"] = create_with_routes


def _create_routes(api_id: str, document: dict) -> None:
    authorizers = {
        name: _create(api_id, "Authorizer", Name=name, **_authorizer(scheme["x-amazon-apigateway-authorizer"]))
        for name, scheme in document["components"]["securitySchemes"].items()
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            uri = operation[INTEGRATION]["uri"]
            integration = _create(api_id, "Integration", IntegrationUri=uri)
            verb = "ANY" if method == ANY_METHOD else method.upper()
            route = {"RouteKey": "$default" if operation.get("isDefaultRoute") else f"{verb} {path}"}
            for requirement in operation.get("security", []):
                for name, scopes in requirement.items():
                    route |= {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name]}
                    route["AuthorizationScopes"] = scopes
            _create(api_id, "Route", Target=f"integrations/{integration}", **route)


def _authorizer(authorizer: dict) -> dict:
    """Return the properties of CloudFormation's JWT authorizer."""
    configuration = authorizer["jwtConfiguration"]
    return {
        "IdentitySource": [authorizer["identitySource"]],
        "JwtConfiguration": {"Issuer": configuration["issuer"], "Audience": configuration["audience"]},
    }


def _create(api_id: str, kind: str, **properties) -> str:
    """Create a part of the API, and return its id."""
    create = provisioners._RESOURCE_HANDLERS[f"AWS::ApiGatewayV2::{kind}"]["create"]
    return create(kind, {"ApiId": api_id, **properties}, "")[0]
