#!/usr/bin/env bash
# Deploys the result of `sam build` as a new release, and processes an order with it: deploy.sh STAGE [NAME=VALUE…], by hand
# `make deploy STAGE=… PARAMETERS="NAME=VALUE…"`. The stage's parameters come from samconfig.toml; a NAME=VALUE overrides one
# of them. A parameter that is in neither keeps its value in the stack, also one that an earlier deployment set by NAME=VALUE.
#
# In a GitHub workflow it signs in to AWS as AWS_ROLE_ARN, with the run's OIDC token; elsewhere it uses the AWS CLI's credentials.
# SMOKE_CLIENT_ID, SMOKE_CLIENT_SECRET and SMOKE_TOKEN_URL name the machine client that creates the order; a stack with a user
# pool has one of its own.
set -euo pipefail
stage=$1
shift
cd "$(dirname "$0")/.."
# SAM and the AWS CLI read AWS_DEFAULT_REGION, the SDKs read AWS_REGION.
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-${AWS_REGION:-}}
[ -n "$AWS_DEFAULT_REGION" ] || unset AWS_DEFAULT_REGION

sign_in() {
    local token credentials
    token=$(curl --fail --silent --show-error --max-time 30 --retry 3 --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
        "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" | python3 -c 'import json, sys; print(json.load(sys.stdin)["value"])')
    credentials=$(aws sts assume-role-with-web-identity --role-arn "$AWS_ROLE_ARN" --role-session-name "ordermill-$stage" \
        --web-identity-token "$token" --duration-seconds 7200 --output text \
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
    read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<<"$credentials"
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
}

# The parameters of this deployment. The stack keeps the value of any other one, so GradualRelease is always among them. The release is
# unique for each deployment: four digits of the commit and the time in base 36, ten characters in all.
parameters() {
    python3 - "$stage" "$(git rev-parse --short=4 HEAD 2>/dev/null || echo 0000)" "$@" <<'PYTHON'
import re, shlex, string, sys, time, tomllib

stage, commit, *given = sys.argv[1:]
moment, digits = int(time.time()), ""
while moment:
    moment, digit = divmod(moment, 36)
    digits = (string.digits + string.ascii_lowercase)[digit] + digits
with open("samconfig.toml", "rb") as file:
    own = tomllib.load(file)[stage]["deploy"]["parameters"]["parameter_overrides"]
# `sam deploy --guided` writes one string.
own = shlex.split(own) if isinstance(own, str) else own
all = ["GradualRelease=true", *own, *given, f"Release={commit[:4]}{digits}"]
# Without quotes the SAM CLI ends a value at its first space, and refuses an empty one.
for name, value in dict(each.split("=", 1) for each in all).items():
    print(f"{name}={value}" if re.fullmatch('".*"', value) else f'{name}="{value}"')
PYTHON
}

stack() {
    aws cloudformation describe-stacks --stack-name "ordermill-$stage" --output text --query "Stacks[0].$1"
}

output() {
    stack "Outputs[?OutputKey=='$1'].OutputValue"
}

parameter() {
    stack "Parameters[?ParameterKey=='$1'].ParameterValue"
}

# With another account or region than meant, SAM would create a second prod, with a database and an address of its own.
refuse_to_create_prod() {
    local account problem
    account=$(aws sts get-caller-identity --query Account --output text)
    echo "Deploying ordermill-$stage in account $account, region ${AWS_DEFAULT_REGION:-of the profile}"
    [ "$stage" = prod ] || return 0
    problem=$(stack StackId 2>&1 >/dev/null) && return
    case $problem in
    *"does not exist"*)
        problem="There is no stack ordermill-prod here. Check the account and the region, or deploy prod the first time as docs/deploying.md says."
        ;;
    esac
    echo "$problem" >&2
    exit 1
}

# Database and user pool are protected by themselves. Without this, `sam delete` would delete all else before they stop it.
protect() {
    [ "$stage" != prod ] ||
        aws cloudformation update-termination-protection --enable-termination-protection --stack-name "ordermill-$stage"
}

# The ten newest versions stay for a roll-back; Lambda refuses to delete the one in use.
delete_old_versions() {
    local name function version
    for name in Api Processor Sweeper; do
        function=$(output "${name}FunctionName")
        aws lambda list-versions-by-function --function-name "$function" --output text --query 'Versions[].Version' |
            tr '[:space:]' '\n' | grep -x '[0-9]\+' | sort -n | head -n -10 |
            while read -r version; do aws lambda delete-function --function-name "$function" --qualifier "$version" || true; done
    done
}

# RDS creates its log groups at the first line, without a retention.
bound_database_logs() {
    local database days log problem
    database=$(aws cloudformation list-stack-resources --stack-name "ordermill-$stage" --output text \
        --query "StackResourceSummaries[?LogicalResourceId=='Database'].PhysicalResourceId")
    days=$(parameter LogRetentionDays)
    for log in ${database:+postgresql iam-db-auth-error}; do
        problem=$(aws logs put-retention-policy --log-group-name "/aws/rds/instance/$database/$log" --retention-in-days "$days" 2>&1) && continue
        case $problem in
        *ResourceNotFoundException*) echo "The database's log $log does not exist yet; the next deployment sets its retention." ;;
        *)
            echo "$problem" >&2
            exit 1
            ;;
        esac
    done
}

smoke_test() {
    local pool window delay
    # The order takes these seconds and may take two minutes more. The token is valid for an hour.
    window=$(parameter CancelWindowSeconds)
    delay=$(parameter ProcessingDelaySeconds)
    SMOKE_SECONDS=$((120 + ${window%.*} + ${delay%.*}))
    export SMOKE_SECONDS=$((SMOKE_SECONDS < 3000 ? SMOKE_SECONDS : 3000))
    # One assignment a line: a failure of any but the last on a line would not end the script.
    API_URL=$(output ApiUrl)
    TOKEN_URL=$(output TokenUrl)
    pool=$(output UserPoolId)
    if [ -z "${SMOKE_CLIENT_ID:-}" ] && [ -n "$pool" ]; then
        SMOKE_CLIENT_ID=$(output MachineClientId)
        SMOKE_CLIENT_SECRET=$(aws cognito-idp describe-user-pool-client --user-pool-id "$pool" --client-id "$SMOKE_CLIENT_ID" \
            --output text --query UserPoolClient.ClientSecret)
    fi
    export API_URL TOKEN_URL="${TOKEN_URL:-${SMOKE_TOKEN_URL:-}}"
    CLIENT_ID=${SMOKE_CLIENT_ID:?names the client that creates the order} CLIENT_SECRET=$SMOKE_CLIENT_SECRET python3 tests/smoke.py
}

[ -z "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ] || sign_in
mapfile -t parameters < <(parameters "$@")
[ ${#parameters[@]} -gt 0 ]
refuse_to_create_prod
sam deploy --config-env "$stage" --no-confirm-changeset --parameter-overrides "${parameters[@]}"
protect
delete_old_versions
bound_database_logs
smoke_test
