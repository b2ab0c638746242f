//! Deployments by a person and by the pipeline: `sam deploy --guided`, and the script that makes each deployment a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use iam_rs::{Context, Decision};
use tests::Stack;
use tokio::process::Command;

use crate::template::pipeline::policy;
use crate::template::policies::decide;

/// Answers each question on a terminal by Enter. That means no for the last one, whether to deploy. If SAM repeats a question for ever,
/// this fails.
const GUIDED: &str = r#"
sed 's/confirm_changeset = false/confirm_changeset = true/' samconfig.toml >"$0/samconfig.toml"
export SAM_CLI_TELEMETRY=0 CONFIG="$0/samconfig.toml"
while echo; do sleep 0.1; done | timeout 120 script --quiet --return --command '.venv/sam/bin/sam deploy --guided \
    --template-file .aws-sam/build/template.yaml --config-file "$CONFIG"' /dev/null
"#;

#[tokio::test]
#[ignore = "needs the built functions: `make test` runs it"]
async fn guided_deployment_accepts_all_defaults() {
    let (stack, directory) = (Stack::running(), tempfile::tempdir().unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", GUIDED]).arg(directory.path()).current_dir("..");
    for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"] {
        command.env(name, stack.get(name));
    }
    let output = command.output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    // SAM emphasises names on a terminal only.
    let bold = |name: &str| format!("\u{1b}[1mParameter {name}\u{1b}[0m");
    let [url, stage] = ["DatabaseUrl", "Stage"].map(bold);
    for question in [format!("{url} []:"), format!("{stage} [dev]:"), "Deploy this changeset? [y/N]:".to_owned()] {
        assert!(printed.contains(&question), "{question} {printed}");
    }
}

/// Whether a line of YAML defines an anchor, refers to one or merges one.
fn shares(line: &str) -> bool {
    let is_anchor =
        |word: &str| word.strip_prefix(['&', '*']).is_some_and(|name| name.starts_with(char::is_alphabetic));
    line.split([' ', '{', '[', ',', ']', '}']).any(|word| word == "<<:" || is_anchor(word))
}

/// `template.yaml` shares by YAML's anchors what several resources have in common. CloudFormation refuses anchors.
#[test]
#[ignore = "needs the built functions: `make test` runs it"]
fn template_that_sam_uploads_has_no_yaml_anchors() {
    let source = include_str!("../../template.yaml");
    assert!(source.lines().any(shares));
    let built = fs::read_to_string("../.aws-sam/build/template.yaml").expect("`sam build` has run");
    let left: Vec<_> = built.lines().filter(|line| shares(line)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Replaces the SAM CLI: records its region and the parameters, as the SAM CLI itself reads them. Follows the path of its Python.
const SAM: &str = r#"
import os, sys
from samcli.cli.types import CfnParameterOverridesType

given = sys.argv[sys.argv.index("--parameter-overrides") + 1:]
parameters = CfnParameterOverridesType().convert(tuple(given), None, None)
with open(os.environ["RECORD"] + "/sam.record", "w") as record:
    for name, value in {"region": os.environ["AWS_DEFAULT_REGION"], **parameters}.items():
        print(f"{name}={value}", file=record)
"#;

/// Replaces the AWS CLI: records each call and answers the script's queries. One that contains `$FAILS` fails with `$PROBLEM`.
const AWS: &str = "#!/bin/sh
echo \"$*\" >> \"$RECORD/aws.record\"
case \"$*\" in
    *$FAILS*) echo \"$PROBLEM\" >&2; exit 3 ;;
esac
case \"$*\" in
    *ListVersions*|*list-versions*) echo '$LATEST 1 2 3 4 5 6 7 8 9 10 11 12' ;;
    *LogRetentionDays*) echo 90 ;;
    *CancelWindowSeconds*) echo 0.5 ;;
    *ProcessingDelaySeconds*) echo 5 ;;
    *list-stack-resources*) echo ordermill-prod-database-x ;;
    *ApiFunctionName*) echo the-api ;;
    *FunctionName*) echo another ;;
    *ApiUrl*) echo \"$URL\" ;;
    *UserPoolId*) echo pool ;;
    *MachineClientId*) echo machine ;;
    *ClientSecret*) echo secret ;;
esac
";

const EXPIRED: &str = "An error occurred (ExpiredToken): The security token is expired";

/// What a deployment by the script gave SAM, by name, and its calls of the AWS CLI.
struct Deployment {
    parameters: BTreeMap<String, String>,
    calls: String,
}

/// Runs the deployment script with these two replacements in this directory, and with only the given variables. The query that
/// contains `fails` fails with the text `problem`.
async fn run(directory: &Path, arguments: &[&str], fails: &str, problem: &str) -> Output {
    let stack = Stack::running();
    let python = std::path::absolute("../.venv/sam/bin/python").unwrap();
    for (name, program) in [("sam", format!("#!{}{SAM}", python.display()).as_str()), ("aws", AWS)] {
        let file = directory.join(name);
        fs::write(&file, program).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("../.github/deploy.sh");
    command.args(arguments).env_clear().envs([("PATH", path.as_str()), ("HOME", "/nowhere"), ("FAILS", fails)]);
    command.env("RECORD", directory).env("AWS_REGION", "eu-west-3").env("PROBLEM", problem);
    command.env("URL", stack.get("API_URL")).env("TOKEN", stack.get("TOKEN_ALICE"));
    command.output().await.unwrap()
}

async fn deploy(arguments: &[&str]) -> Deployment {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), arguments, "nothing", "").await;
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    let given = read("sam.record");
    let pairs = given.lines().filter_map(|line| line.split_once('='));
    let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Deployment { parameters, calls: read("aws.record") }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn deployment_by_the_script_gets_its_own_release() {
    let mut releases = BTreeSet::new();
    for (arguments, gradual) in [(&["prod", "MaxAttempts=7"][..], "true"), (&["prod", "GradualRelease=false"], "false")]
    {
        let mut given = deploy(arguments).await.parameters;
        releases.insert(given.remove("Release").unwrap());
        assert_eq!(given.remove("MaxAttempts").is_some(), gradual == "true");
        let expected =
            [("GradualRelease", gradual), ("LogRetentionDays", "90"), ("Stage", "prod"), ("region", "eu-west-3")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
    assert_eq!(releases.len(), 2, "{releases:?}");
    let named = |release: &String| release.len() == 10 && release.chars().all(|each| each.is_ascii_alphanumeric());
    assert!(releases.iter().all(named), "{releases:?}");
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn deployment_passes_empty_values_and_values_with_spaces() {
    let values = ["EventBus=", "DashboardScopes=openid orders/read", "ApiName=\"the orders\""];
    let given = deploy(&[&["dev"], values.as_slice()].concat()).await.parameters;
    for (name, value) in values.map(|each| each.split_once('=').unwrap()) {
        assert_eq!(given.get(name).map(String::as_str), Some(value.trim_matches('"')));
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn deployment_deletes_old_versions_and_limits_log_retention() {
    let calls = deploy(&["prod"]).await.calls;
    let of_api = |call: &&str| call.contains("delete-function --function-name the-api");
    let deleted: Vec<_> = calls.lines().filter(of_api).filter_map(|call| call.rsplit(' ').next()).collect();
    assert_eq!(deleted, ["1", "2"]);
    for log in ["postgresql", "iam-db-auth-error"] {
        let group = format!("/aws/rds/instance/ordermill-prod-database-x/{log} --retention-in-days 90");
        assert!(calls.contains(&group), "{calls}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn deployment_fails_if_a_query_fails() {
    for query in [
        "get-caller-identity",
        "LogRetentionDays",
        "CancelWindowSeconds",
        "ProcessingDelaySeconds",
        "ApiUrl",
        "TokenUrl",
        "UserPoolId",
    ] {
        let output = run(tempfile::tempdir().unwrap().path(), &["prod"], query, "").await;
        assert_eq!(output.status.code(), Some(3), "{query}: {output:?}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn script_creates_no_second_prod() {
    let directory = tempfile::tempdir().unwrap();
    for (problem, shown) in [("Stack with id x does not exist", "no stack ordermill-prod here"), (EXPIRED, EXPIRED)] {
        let output = run(directory.path(), &["prod"], "StackId", problem).await;
        assert!(String::from_utf8_lossy(&output.stderr).contains(shown), "{output:?}");
        assert!(!output.status.success() && !directory.path().join("sam.record").exists());
    }
    assert!(run(directory.path(), &["staging"], "StackId", EXPIRED).await.status.success());
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn only_a_missing_log_of_the_database_is_tolerated() {
    for (problem, is_tolerated) in [("ResourceNotFoundException: the group", true), (EXPIRED, false)] {
        let output = run(tempfile::tempdir().unwrap().path(), &["prod"], "put-retention-policy", problem).await;
        assert_eq!(output.status.success(), is_tolerated, "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).contains("does not exist yet"), is_tolerated, "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains(EXPIRED), !is_tolerated, "{output:?}");
    }
}

/// The action of a call of the AWS CLI, and a resource of this stack: `logs put-retention-policy …` is `logs:PutRetentionPolicy`.
fn taken(call: &str) -> (String, String) {
    let (service, rest) = call.split_once(' ').unwrap();
    let command = rest.split(' ').next().unwrap();
    let name: String = command.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let resource = match service {
        "cloudformation" => "stack/ordermill-prod/1",
        "cognito-idp" => "userpool/eu-west-3_1",
        "lambda" => "function:ordermill-prod-ApiFunction-1",
        "logs" => "log-group:/aws/rds/instance/ordermill-prod-database-1/postgresql",
        _ => panic!("{call} is of a service that the test does not know"),
    };
    (format!("{service}:{name}"), format!("arn:aws:{service}:eu-west-3:111122223333:{resource}"))
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn pipeline_may_make_each_call_of_the_script() {
    let calls = deploy(&["prod"]).await.calls;
    // Everybody may ask who they are.
    let calls: BTreeSet<_> = calls.lines().filter(|call| !call.starts_with("sts ")).map(taken).collect();
    assert_eq!(calls.len(), 7, "{calls:?}");
    for (action, resource) in calls {
        assert_eq!(
            decide(&[policy("policy")], &action, &resource, Context::new()),
            Decision::Allow,
            "{action} on {resource}"
        );
    }
}
