#!/bin/bash
# Hostile input: schemathesis calls the running service by its OpenAPI document, with all its checks. No answer may be a 5xx or differ
# from the document. The service must accept what the document allows, and refuse what it forbids. `make fuzz` runs it.
#
# It needs the stack's file in STACK_ENV, or else SITE_URL, API_URL and FUZZ_TOKEN. Its other variables:
#
#   FUZZ_TOKEN    the token of the calls; TOKEN_ADMIN of the stack's file by default
#   FUZZ_USER     the user of the created orders; any user if empty, for administrators
#   FUZZ_SECONDS  the most seconds of the run; 240 by default
#   FUZZ_CASES    the least number of calls; 5000 by default
#   FUZZ_SEED     the seed of the random numbers; 1 by default
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
    echo "error: $1" >&2
    exit 1
}

[ -z "${STACK_ENV:-}" ] || . "$STACK_ENV"
# The service is on this machine: no proxy.
export API_URL FUZZ_TOKEN="${FUZZ_TOKEN:-$TOKEN_ADMIN}" SCHEMATHESIS_HOOKS=stack.fuzz_hooks PYTHONPATH="$root/tests" NO_PROXY='*'
# schemathesis writes files into its working directory.
mkdir -p "$root/.local/fuzz"
cd "$root/.local/fuzz"
"$root/.venv/fuzz/bin/schemathesis" run "$SITE_URL/openapi.json" --url "$API_URL" --header "Authorization: Bearer $FUZZ_TOKEN" \
    --checks all --continue-on-failure --seed "${FUZZ_SEED:-1}" --max-time "${FUZZ_SECONDS:-240}" --generation-database none \
    --no-color | tee output || fail "hostile input was answered wrongly. The calls are above; repeat one with its curl line."
# A refused token is only a warning of schemathesis. A user's own token may not make an operator's calls.
[ -n "${FUZZ_USER:-}" ] || ! grep --quiet "returned only 401/403" output ||
    fail "an administrator's token was always refused by the operations above."
calls=$(sed -n 's/^ *\([0-9]*\) generated.*/\1/p' output)
[ "${calls:-0}" -ge "${FUZZ_CASES:-5000}" ] ||
    fail "only ${calls:-0} calls were made, not ${FUZZ_CASES:-5000}. Give it more time: FUZZ_SECONDS."
echo "    $calls hostile calls were answered as the document says."
