//! The pipeline's policies: they permit what each resource of the template needs, and no role with more rights than the
//! functions'.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};

use iam_rs::{Context, Decision};
use serde_json::Value;

use super::policies::decide;
use super::rules::{Template, listed};
use super::{BROUGHT, SECRET, template};

/// Actions of CloudFormation's handlers that the template's resources never need: customer-managed keys, file systems, a secret
/// for the owner, custom domains, groups and users, other services' endpoints. A boundary is never removed.
const UNUSED: [&str; 22] = [
    "cloudfront:updateDistribution",
    "ec2:CreateVpcEncryptionControl",
    "ec2:ModifyVpcTenancy",
    "elasticfilesystem:DescribeMountTargets",
    "firehose:TagDeliveryStream",
    "iam:AttachGroupPolicy",
    "iam:AttachUserPolicy",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DetachGroupPolicy",
    "iam:DetachUserPolicy",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "s3files:ListMountTargets",
    "secretsmanager:CreateSecret",
    "secretsmanager:TagResource",
    "vpc-lattice:CreateServiceNetworkVpcEndpointAssociation",
    "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
    "vpce:AllowMultiRegion",
];

pub fn policy(name: &str) -> Value {
    serde_json::from_str(&read_to_string(format!("../.github/pipeline-{name}.json")).unwrap()).unwrap()
}

/// The actions that a policy names.
fn actions(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    statements.flat_map(|each| listed(&each["Action"])).filter_map(Value::as_str).collect()
}

/// Whether a pattern with at most one `*` matches an action.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    pattern.split_once('*').map_or(pattern == action, |(start, end)| action.starts_with(start) && action.ends_with(end))
}

/// The actions of a resource type's handlers, by CloudFormation's published schemas, which cfn-lint contains.
fn handled(kind: &str) -> Vec<String> {
    let python = read_dir("../.venv/sam/lib").unwrap().next().unwrap().unwrap().path();
    let read = |path: String| -> Value {
        let schemas = python.join("site-packages/cfnlint/data/schemas");
        serde_json::from_str(&read_to_string(schemas.join(&path)).expect(&path)).unwrap()
    };
    let provider = read("providers/us-east-1.json".to_owned());
    let schema =
        read(format!("resources/{}.json", provider[kind].as_str().unwrap_or_else(|| panic!("{kind} has no schema"))));
    let handlers = schema["handlers"].as_object().into_iter().flatten().filter(|(operation, _)| *operation != "list");
    let calls = handlers.flat_map(|(_, handler)| listed(&handler["permissions"]));
    calls.filter_map(|each| each.as_str().map(str::to_owned)).collect()
}

#[test]
fn pipeline_may_create_change_and_delete_every_resource() {
    let policy = policy("policy");
    let allowed = actions(&policy);
    let kinds = |template: &Template| -> BTreeSet<String> {
        let all = template.0["Resources"].as_object().unwrap().values().filter_map(|each| each["Type"].as_str());
        all.filter(|kind| !kind.starts_with("Custom::")).map(str::to_owned).collect()
    };
    let everything = template(&["Stage=prod", "AlarmEmail=night@example.com", "Tracing=Active"]);
    let mut lacking = BTreeSet::new();
    for kind in kinds(&everything).union(&kinds(&template(&[BROUGHT, SECRET]))) {
        let calls = handled(kind);
        assert!(!calls.is_empty(), "{kind} has no actions in its schema");
        lacking.extend(calls.into_iter().filter(|call| !allowed.iter().any(|pattern| matches(pattern, call))));
    }
    assert_eq!(lacking.iter().map(String::as_str).collect::<Vec<_>>(), UNUSED);
}

/// What AWS's documents ask for beside CloudFormation's schemas: for a database, for an endpoint with private names, for a function
/// in a VPC, and for actions that have no type of resource, so that only a policy for all resources allows them.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html>
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html>
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html>
/// <https://github.com/awsdocs/aws-codedeploy-user-guide/issues/18>
const IN_NO_SCHEMA: [(&str, &str); 8] = [
    ("rds:CreateDBInstance", "arn:aws:rds:eu-west-3:111122223333:og:default:postgres-17"),
    ("rds:ModifyDBInstance", "arn:aws:rds:eu-west-3:111122223333:og:default:postgres-17"),
    ("route53:AssociateVPCWithHostedZone", "*"),
    ("ec2:GetSecurityGroupsForVpc", "*"),
    ("codedeploy:StopDeployment", "*"),
    ("logs:DescribeIndexPolicies", "*"),
    ("sns:GetSubscriptionAttributes", "*"),
    ("sns:SetSubscriptionAttributes", "*"),
];

#[test]
fn pipeline_may_do_what_no_schema_lists() {
    for (action, resource) in IN_NO_SCHEMA {
        assert_eq!(decide(&[policy("policy")], action, resource, Context::new()), Decision::Allow, "{action}");
    }
}

/// The subject in the trust policy that docs/delivery.md writes, if GitHub reports this prefix for the repository.
fn trusted_subject(prefix: &str) -> Value {
    let (_, rest) = include_str!("../../../docs/delivery.md").split_once("\n# 2. ").unwrap();
    let commands = rest.split_once('\n').unwrap().1.split("\naws iam create-role").next().unwrap();
    let script = format!("gh() {{ echo '{prefix}'; }}\n{}", commands.replace("cat > trust.json", "cat"));
    let mut bash = std::process::Command::new("bash");
    bash.envs([("REPO", "shop/ordermill"), ("STAGE", "prod"), ("PARTITION", "aws"), ("ACCOUNT", "111122223333")]);
    bash.args(["-euc", &script]);
    let text = String::from_utf8(bash.output().unwrap().stdout).unwrap();
    let policy: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    policy["Statement"][0]["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"].clone()
}

#[test]
fn trust_policy_names_the_subject_that_github_reports() {
    assert_eq!(trusted_subject("repo:shop@12/ordermill@34"), "repo:shop@12/ordermill@34:environment:prod");
    assert_eq!(trusted_subject(""), "repo:shop/ordermill:environment:prod");
}

#[test]
fn role_of_the_pipeline_reads_only_secrets_of_the_service() {
    let reads = |name: &str| {
        let secret = format!("arn:aws:secretsmanager:eu-west-3:111122223333:secret:{name}");
        ["boundary", "policy"].map(|of| {
            decide(&[policy(of)], "secretsmanager:GetSecretValue", &secret, Context::new()) == Decision::Allow
        })
    };
    assert_eq!(reads("ordermill-webhook-a1B2c3"), [true, true]);
    assert_eq!(reads("rds!db-0123-a1B2c3"), [true, false]);
    assert_eq!(reads("payroll-a1B2c3"), [false, false]);
}

#[test]
fn pipeline_creates_no_role_without_the_boundary() {
    let policy = policy("policy");
    for statement in policy["Statement"].as_array().unwrap() {
        let names =
            |action: &str| listed(&statement["Action"]).iter().any(|each| matches(each.as_str().unwrap(), action));
        let bounded = &statement["Condition"]["ArnLike"]["iam:PermissionsBoundary"];
        for action in ["CreateRole", "PutRolePolicy", "AttachRolePolicy", "PutRolePermissionsBoundary"] {
            let is_bounded = *bounded == "arn:aws:iam::*:policy/pipeline-ordermill-boundary";
            assert!(!names(&format!("iam:{action}")) || is_bounded, "{action}: {statement}");
        }
        let resources = listed(&statement["Resource"]);
        if names("iam:CreatePolicyVersion") || names("iam:PassRole") || names("iam:CreateRole") {
            assert!(resources.iter().all(|each| each.as_str().unwrap().contains("/ordermill-*")), "{statement}");
        }
        assert!(!names("sts:AssumeRole") && !names("iam:CreateUser"), "{statement}");
    }
    assert!(serde_json::to_string(&policy).unwrap().len() < 6144, "a managed policy has at most 6,144 characters");
}

/// The text of a job of the workflow.
fn job<'a>(workflow: &'a str, name: &str) -> &'a str {
    let (_, rest) = workflow.split_once(&format!("\n  {name}:\n")).unwrap();
    let end = rest.match_indices("\n  ").map(|(at, _)| at).find(|at| !rest[at + 3..].starts_with([' ', '#']));
    end.map_or(rest, |end| &rest[..end])
}

#[test]
fn pipeline_deploys_to_prod_the_build_that_staging_tested() {
    let workflow = read_to_string("../.github/workflows/deploy.yml").unwrap();
    let build = job(&workflow, "build");
    assert!(build.contains("sam build") && build.contains("uses: actions/upload-artifact@"), "{build}");
    for (name, after) in [("staging", "needs: [check, build]"), ("prod", "needs: [build, staging]")] {
        let job = job(&workflow, name);
        let commit = "ref: ${{ needs.build.outputs.commit }}";
        for part in
            [after, commit, "uses: actions/download-artifact@", "name: functions", ".github/deploy.sh \"$STAGE\""]
        {
            assert!(job.contains(part), "{name} lacks {part}: {job}");
        }
        assert!(!job.contains("sam build") && job.contains(&format!("environment: {name}")), "{job}");
        // GitHub takes the result of a job that is not listed for empty, so a condition with it never holds.
        let mut read = job.split("needs.").skip(1).filter_map(|rest| rest.split('.').next());
        assert!(read.all(|other| after.contains(other)), "{job}");
    }
}

/// The line of a job that calls `tar`.
fn tar<'a>(workflow: &'a str, name: &str) -> &'a str {
    job(workflow, name).lines().find(|line| line.trim_start().starts_with("tar ")).unwrap()
}

/// The scripts of the checkout run with the rights of the job.
#[test]
fn archive_of_a_build_replaces_no_script_of_the_checkout() {
    let workflow = read_to_string("../.github/workflows/deploy.yml").unwrap();
    let forge = tar(&workflow, "build").replace(".aws-sam/build", ".aws-sam/build .github Makefile");
    for unpack in ["staging", "prod"].map(|name| tar(&workflow, name)) {
        let script = format!(
            "export RUNNER_TEMP=$PWD
            mkdir --parents forged/.aws-sam/build forged/.github own/.github
            cd forged
            tee .aws-sam/build/template.yaml .github/deploy.sh Makefile >/dev/null <<<forged
            {forge}
            cd ../own
            tee .github/deploy.sh Makefile >/dev/null <<<own
            {unpack}
            cat .github/deploy.sh Makefile .aws-sam/build/template.yaml | diff - <(printf 'own\\nown\\nforged\\n')"
        );
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("bash").args(["-euc", &script]).current_dir(&folder).status();
        assert!(status.unwrap().success(), "{unpack}");
    }
}

/// The right to push a tag or another branch deploys nothing.
#[test]
fn pipeline_builds_only_what_is_on_main() {
    let workflow = read_to_string("../.github/workflows/deploy.yml").unwrap();
    let (_, step) = workflow.split_once("- name: Only what is on main\n        run: ").unwrap();
    let check = step.lines().next().unwrap();
    let commit = "git -c user.name=a -c user.email=a@example.com commit --quiet --allow-empty --message";
    let script = format!(
        "git init --quiet; {commit} main; git update-ref refs/remotes/origin/main HEAD; {check}
        {commit} other; git tag origin/main; ! {check}"
    );
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("bash").args(["-euc", &script]).current_dir(&folder).status();
    assert!(status.unwrap().success(), "{check}");
}

/// `sam delete` deletes a stack's code from SAM's bucket. Without a folder of its own a stack shares it with every stack of the same
/// build, and these could not roll back any more.
#[test]
fn every_stack_has_its_own_folder_for_its_code() {
    let config = read_to_string("../samconfig.toml").unwrap();
    let deployments: Vec<_> = config.split("\n[").filter(|section| section.contains(".deploy.parameters]")).collect();
    assert!(deployments.len() > 3, "{deployments:?}");
    for section in deployments {
        let value = |name: &str| section.lines().find_map(|line| line.strip_prefix(name));
        assert_eq!(value("s3_prefix = "), value("stack_name = "), "{section}");
    }
}

/// The fourth version of checkout runs on Node.js 20, whose support has ended.
#[test]
fn workflows_check_out_by_an_action_of_a_supported_node() {
    for name in ["ci", "deploy"] {
        let workflow = read_to_string(format!("../.github/workflows/{name}.yml")).unwrap();
        let steps = workflow.lines().filter(|line| line.contains("uses: actions/checkout@"));
        let version = |line: &str| line.split_once("# v").unwrap().1.split('.').next().unwrap().parse().unwrap();
        let versions: Vec<u32> = steps.map(version).collect();
        assert!(versions.len() > 1 && versions.iter().all(|version| *version >= 5), "{name}: {versions:?}");
    }
}

/// The actions of AWS's managed policy for `CodeDeploy` that a release needs.
const RELEASES: [&str; 3] = ["cloudwatch:DescribeAlarms", "lambda:GetAlias", "lambda:UpdateAlias"];

/// The rules hold the functions' calls to the boundary. Lambda also connects functions to a VPC with their roles.
#[test]
fn boundary_permits_networks_and_releases_and_no_wildcard() {
    let (boundary, template) = (policy("boundary"), template(&[]));
    let allowed = actions(&boundary);
    let network = &template.properties("NetworkPolicy")["PolicyDocument"]["Statement"][0]["Action"];
    for action in listed(network).into_iter().filter_map(Value::as_str).chain(RELEASES) {
        assert!(allowed.contains(&action), "{action}");
    }
    assert!(allowed.iter().all(|action| !action.contains('*')), "{allowed:?}");
}
