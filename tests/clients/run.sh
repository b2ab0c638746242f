#!/bin/sh
# Generates clients in Python and TypeScript from the OpenAPI document, and runs them against the stack of STACK_ENV, which has the
# sample data. Each calls every operation of the document.
set -eu
cd "$(dirname "$0")/../.."
. "$STACK_ENV"
export API_URL TOKEN="$TOKEN_ALICE" OPERATOR_TOKEN="$TOKEN_ADMIN"
called=$PWD/.local/clients/called
rm -rf "$called" && mkdir -p "$called"
CALLED=$called/Python .venv/clients/bin/python tests/clients/follow.py
document=$PWD/functions/site/assets/openapi.json
(
    cd .local/clients/typescript
    npx --no-install openapi-typescript "$document" --default-non-nullable=false --output ordermill.d.ts
    npx --no-install tsc
    CALLED=$called/TypeScript node out/follow.js
)
.venv/clients/bin/python tests/clients/covered.py "$called/Python" "$called/TypeScript"
