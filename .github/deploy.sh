#!/usr/bin/env bash
# Deploys what `sam build` has built, and has an order go through it: deploy.sh STAGE RELEASE.
#
# AWS is signed in to as AWS_ROLE_ARN, with the OIDC token of this run of a GitHub workflow; where there are credentials in the
# environment already, as those. AWS_REGION says where. SMOKE_CLIENT_ID, SMOKE_CLIENT_SECRET and, unless the stack has a user
# pool, SMOKE_TOKEN_URL are the machine that the order is placed as.
set -euo pipefail
stage=$1 release=$2
cd "$(dirname "$0")/.."

sign_in() {
    local token credentials
    token=$(curl --fail --silent --show-error --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
        "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" | python3 -c 'import json, sys; print(json.load(sys.stdin)["value"])')
    credentials=$(aws sts assume-role-with-web-identity --role-arn "$AWS_ROLE_ARN" --role-session-name "ordermill-$release" \
        --web-identity-token "$token" --duration-seconds 7200 --output text \
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
    read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<<"$credentials"
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
}

# The stage's parameters: given on the command line, they replace those of samconfig.toml as a whole.
parameters() {
    python3 -c 'import sys, tomllib
print(*tomllib.load(open("samconfig.toml", "rb"))[sys.argv[1]]["deploy"]["parameters"]["parameter_overrides"], sep="\n")' "$stage"
}

output() {
    aws cloudformation describe-stacks --stack-name "ordermill-$stage" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

[ -n "${AWS_ACCESS_KEY_ID:-}" ] || sign_in
mapfile -t parameters < <(parameters)
sam deploy --config-env "$stage" --no-confirm-changeset --parameter-overrides "${parameters[@]}" "Release=$release"
API_URL=$(output ApiUrl) TOKEN_URL=$(output TokenUrl)
export API_URL TOKEN_URL="${TOKEN_URL:-${SMOKE_TOKEN_URL:-}}"
CLIENT_ID=$SMOKE_CLIENT_ID CLIENT_SECRET=$SMOKE_CLIENT_SECRET python3 tests/smoke.py
