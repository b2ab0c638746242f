#!/bin/sh
# Generates clients in Python and TypeScript from the OpenAPI document, and runs them against the stack of STACK_ENV.
set -eu
cd "$(dirname "$0")/../.."
. "$STACK_ENV"
export API_URL TOKEN="$TOKEN_ALICE"
.venv/clients/bin/python tests/clients/follow.py
document=$PWD/functions/site/assets/openapi.json
cd .local/clients/typescript
npx --no-install openapi-typescript "$document" --output ordermill.d.ts
npx --no-install tsc
node out/follow.js
