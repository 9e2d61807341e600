//! What deploys: the template, judged by AWS's own tools, and what SAM and cargo-lambda make of the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use booking_automation::config::Sender;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::app::{App, skipped};
use crate::lambda::example_event;
use crate::others::{find, free_port, listens};
use crate::runtime_api::Instance;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A judge from `target/judges` or the `PATH`, told to stay on this machine; `None`, and says so, where it is
/// not installed.
pub fn external_tool(program: &str) -> Option<Command> {
    let judges = root().join("target/judges/bin");
    let Some(found) = find(program, &[judges.to_str().unwrap()]) else {
        skipped(&format!("{program} is not installed (make judges)"));
        return None;
    };
    let mut command = Command::new(found);
    let path = std::env::var("PATH").unwrap();
    command
        .current_dir(root())
        // It finds its own helpers, and zig, there.
        .env("PATH", format!("{}:{path}", judges.display()))
        .envs([
            ("SAM_CLI_TELEMETRY", "0"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Some(command)
}

/// Runs it to its end; what it said on stdout.
async fn run_successfully(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

#[tokio::test]
async fn the_template_passes_the_linters() {
    if let Some(mut linter) = external_tool("cfn-lint") {
        assert_eq!(run_successfully(linter.args(["--include-checks", "I", "--", "template.yaml"])).await, "");
    }
    for stage in ["default", "production"] {
        if let Some(mut sam) = external_tool("sam") {
            run_successfully(sam.args(["validate", "--lint", "--config-env", stage])).await;
        }
    }
}

/// What `sam deploy` takes for the parameters of each stage.
const STAGES: &str = "
import json, tomllib
from samcli.cli.types import CfnParameterOverridesType
stages = tomllib.load(open('samconfig.toml', 'rb'))
parameters = lambda stage: stages[stage]['global']['parameters']['parameter_overrides']
print(json.dumps({stage: CfnParameterOverridesType().convert(parameters(stage), None, None)
                  for stage in ('default', 'production')}))";

#[tokio::test]
async fn each_stage_has_its_own_secret_and_a_valid_sender() {
    let (Some(_), Some(mut python)) = (external_tool("sam"), external_tool("python")) else { return };
    let stages: Value = serde_json::from_str(&run_successfully(python.args(["-c", STAGES])).await).unwrap();
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    for (stage, parameters) in stages.as_object().unwrap() {
        assert_eq!(parameters["SecretName"], format!("booking-automation/{}", stage.replace("default", "staging")));
        assert!(Sender::parse(parameters["EmailFrom"].as_str().unwrap()).is_some(), "{parameters}");
        for name in parameters.as_object().unwrap().keys() {
            assert!(template.contains(&format!("\n  {name}:\n    Type:")), "{stage}: {name}");
        }
    }
}

/// `template.yaml` as plain CloudFormation.
async fn translated_template() -> Option<Value> {
    external_tool("sam")?; // it brings the translator
    let mut python = external_tool("python")?;
    let translated = run_successfully(python.arg("tests/it/translated.py")).await;
    Some(serde_json::from_str(&translated).unwrap())
}

#[tokio::test]
async fn the_template_has_the_documented_resources_and_permissions() {
    let Some(template) = translated_template().await else { return };
    if let Some(mut linter) = external_tool("cfn-lint") {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("template.json");
        std::fs::write(&file, template.to_string()).unwrap();
        run_successfully(linter.arg(file)).await;
    }
    let resources = template["Resources"].as_object().unwrap();
    let of_type =
        |kind: &str| -> Vec<&Value> { resources.values().filter(|resource| resource["Type"] == kind).collect() };

    // The function.
    let function = &resources["Function"]["Properties"];
    assert_eq!((&function["Handler"], &function["Runtime"]), (&json!("bootstrap"), &json!("provided.al2023")));
    assert_eq!(template["Parameters"]["Architecture"]["Default"], "arm64");
    assert_eq!(template["Parameters"]["ReservedConcurrency"]["Default"], -1);
    assert_eq!(function["LoggingConfig"]["LogFormat"], "JSON");
    for name in ["DATABASE_URL", "CRON_SECRET", "CRON_SIGNING_SECRET", "ADMIN_TOKEN"] {
        let value = function["Environment"]["Variables"][name].to_string();
        assert!(value.contains("{{resolve:secretsmanager:${SecretName}:SecretString:"), "{name}: {value}");
        assert!(value.contains(&format!(":{name}::")), "{name}: {value}");
    }
    let retries: BTreeMap<_, _> = of_type("AWS::Lambda::EventInvokeConfig")
        .iter()
        .map(|config| &config["Properties"])
        .map(|of| (of["Qualifier"].as_str().unwrap(), (&of["MaximumRetryAttempts"], &of["MaximumEventAgeInSeconds"])))
        .collect();
    // The next minute is a pass's retry; an event of SES has no other.
    let (none, some) = ((&json!(0), &json!(60)), (&json!(2), &json!(21600)));
    assert_eq!(retries, BTreeMap::from([("$LATEST", none), ("ses-events", some)]));

    // Every minute, not about every minute; what cannot be delivered is kept.
    let schedule = &of_type("AWS::Scheduler::Schedule")[0]["Properties"];
    assert_eq!(
        (&schedule["ScheduleExpression"], &schedule["FlexibleTimeWindow"]["Mode"]),
        (&json!("rate(1 minute)"), &json!("OFF"))
    );
    let target = &schedule["Target"];
    assert_eq!(target["RetryPolicy"], json!({"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}));
    assert_eq!(target["DeadLetterConfig"]["Arn"], json!({"Fn::GetAtt": ["DeadLetters", "Arn"]}));
    let payload: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
    let expected = json!({"trigger": "schedule", "scheduled_time": "<aws.scheduler.scheduled-time>",
        "execution_id": "<aws.scheduler.execution-id>", "attempt": "<aws.scheduler.attempt-number>"});
    assert_eq!(payload, expected);
    let app = App::new().await;
    assert_eq!(Instance::start(&app).await.invoke(&payload).await.unwrap()["outcome"], "completed");

    // SES's events: all that are recorded, to the alias, and what fails is kept.
    let with_set =
        ["SesEventDestination", "SesEventsRule", "SesEventsAlias", "SesEventsInvokeConfig", "SesEventsPermission"];
    for name in with_set {
        assert_eq!(resources[name]["Condition"], "HasConfigurationSet", "{name}");
    }
    let destination = &resources["SesEventDestination"]["Properties"]["EventDestination"];
    let types = ["send", "delivery", "bounce", "complaint", "reject", "deliveryDelay", "renderingFailure"];
    assert_eq!(destination["MatchingEventTypes"], json!(types));
    let rule = &resources["SesEventsRule"]["Properties"];
    assert_eq!(rule["EventPattern"]["source"], json!(["aws.ses"]));
    assert_eq!(rule["Targets"][0]["Arn"], json!({"Ref": "SesEventsAlias"}));
    assert_eq!(rule["Targets"][0]["DeadLetterConfig"]["Arn"], json!({"Fn::GetAtt": ["DeadLetters", "Arn"]}));
    assert_eq!(resources["SesEventsAlias"]["Properties"]["FunctionVersion"], "$LATEST");

    // What the function may do, and nothing else.
    let statements = resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let mut allowed = Vec::new();
    for statement in statements {
        // The sandbox's, where it is said to be one; the queue's, where there are events.
        let statement = if statement["Fn::If"].is_array() { &statement["Fn::If"][1] } else { statement };
        let actions = statement["Action"].as_array().cloned().unwrap_or_else(|| vec![statement["Action"].clone()]);
        for action in actions {
            let everything = statement["Resource"] == "*";
            allowed.push(format!("{}{}", action.as_str().unwrap(), if everything { " on *" } else { "" }));
        }
    }
    assert_eq!(
        allowed,
        [
            "ses:SendEmail",
            "ses:SendEmail",
            "ses:GetAccount on *",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "sqs:SendMessage"
        ]
    );
    assert!(statements[0]["Resource"].to_string().contains(":identity/${EmailIdentity}"));
    assert_eq!(
        (&statements[1]["Fn::If"][0], &statements[1]["Fn::If"][2]),
        (&json!("InSesSandbox"), &json!({"Ref": "AWS::NoValue"}))
    );
    assert_eq!(template["Parameters"]["SesSandbox"]["Default"], "false");

    // A way in over HTTP only where somebody asked for one.
    assert_eq!(template["Parameters"]["HttpAccess"]["Default"], "none");
    assert_eq!(template["Parameters"]["Support"]["Default"], "false");
    for kind in ["AWS::Lambda::Url", "AWS::Lambda::Permission"] {
        let public =
            of_type(kind).into_iter().filter(|resource| resource["Properties"]["Principal"] != "events.amazonaws.com");
        assert!(public.into_iter().all(|resource| resource["Condition"] == "HasFunctionUrl"), "{kind}");
    }
    assert_eq!(of_type("AWS::Lambda::Permission").len(), 3);

    // Silence is an alarm.
    let alarm = &resources["NoPassAlarm"]["Properties"];
    assert_eq!(
        (&alarm["EvaluationPeriods"], &alarm["Period"], &alarm["TreatMissingData"]),
        (&json!(5), &json!(60), &json!("breaching"))
    );
    assert_eq!(resources["CompletedPasses"]["Properties"]["FilterPattern"], r#"{ $.pass = "committed" }"#);
    // So is an error in a call that answered: of an account that cannot send, for one.
    assert_eq!(resources["ErrorLines"]["Properties"]["FilterPattern"], r#"{ $.level = "ERROR" }"#);
    assert_eq!(resources["ErrorLinesAlarm"]["Properties"]["MetricName"], "ErrorLines");

    // Two stages in one account: no name that both would have (an alias is its function's).
    for (id, resource) in resources.iter().filter(|(_, resource)| resource["Type"] != "AWS::Lambda::Alias") {
        for name in ["Name", "FunctionName", "QueueName", "RoleName", "LogGroupName", "AlarmName"] {
            assert!(!resource["Properties"][name].is_string(), "{id} has the fixed {name}");
        }
    }
}

#[tokio::test]
async fn every_example_event_works_in_cargo_lambda() {
    let Some(mut emulator) = external_tool("cargo-lambda") else { return };
    let port = free_port();
    let address = ["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()].map(str::to_owned);
    let mut emulator = emulator
        .args(["lambda", "watch", "--only-lambda-apis"])
        .args(&address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    listens(port, &mut emulator).await;
    let app = App::empty().await;
    let mut function = app
        .command(&[])
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt").as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "_"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("CRON_SECRET", "local-secret-0123456789"),
            ("CRON_SIGNING_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let invoke = async |file: &Path| {
        let mut command = external_tool("cargo-lambda").unwrap();
        command.args(["lambda", "invoke"]).args(&address).arg("--data-file").arg(file).output().await.unwrap()
    };
    let answers = [
        ("migrate", "migrated"),
        ("schedule", r#""trigger":"schedule""#),
        ("bearer", r#"\"trigger\":\"bearer\""#),
        ("signed", r#""statusCode":401"#),
        ("health", r#""statusCode":200"#),
        ("ses-send", r#""reason":"not_ours""#),
        ("ses-delivery", r#""reason":"not_ours""#),
        ("ses-bounce", r#""reason":"not_ours""#),
        ("ses-complaint", r#""reason":"not_ours""#),
        ("ses-reject", r#""reason":"not_ours""#),
        ("ses-delay", r#""reason":"not_ours""#),
        ("ses-rendering-failure", r#""reason":"not_ours""#),
    ];
    for (name, expected) in answers {
        let output = invoke(&root().join(format!("events/{name}.json"))).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{name}: {output:?}");
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("events")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    assert_eq!(files.len(), answers.len(), "each file has its answer here: {files:?}");

    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), r#"{"trigger":"other"}"#).unwrap();
    let output = invoke(other.path()).await;
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("UnknownPayload"),
        "{output:?}"
    );
    function.kill().await.unwrap();
    emulator.kill().await.unwrap();
}

#[tokio::test]
async fn the_binary_built_by_sam_runs() {
    let Some(mut sam) = external_tool("sam") else { return };
    if external_tool("cargo-lambda").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    sam.args(["build", "--parameter-overrides", &format!("Architecture={architecture}"), "--build-dir"])
        .arg(directory.path())
        // The release build as such is the README's business; this one shall be quick.
        .envs([
            ("CARGO_PROFILE_RELEASE_LTO", "off"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
            ("CARGO_PROFILE_RELEASE_INCREMENTAL", "true"),
        ])
        .env_remove("RUSTFLAGS");
    run_successfully(&mut sam).await;
    let bootstrap = directory.path().join("Function/bootstrap");
    let app = App::new().await;
    let instance = Instance::start_program(&app, &bootstrap).await;
    assert_eq!(instance.invoke(&example_event("schedule")).await.unwrap()["outcome"], "completed");
    let error = instance.invoke_within(Duration::from_secs(60), b"{}".to_vec()).await.unwrap_err();
    assert_eq!(error["errorType"], "UnknownPayload");
}
