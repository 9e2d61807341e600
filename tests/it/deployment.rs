//! Deployment: the template, checked with AWS's own tools, and the program as SAM and cargo-lambda
//! build and run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use booking_automation::channels::email::sender::Sender;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::app::{App, skipped};
use crate::lambda::example_event;
use crate::others::{find, free_port, listens};
use crate::runtime_api::Instance;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool from `target/judges` or the `PATH`, with telemetry off; `None`, with a message, where it
/// is not installed.
fn external_tool(program: &str) -> Option<Command> {
    let judges = root().join("target/judges/bin");
    let Some(found) = find(program, &[judges.to_str().unwrap()]) else {
        skipped(&format!("{program} is not installed (make judges)"));
        return None;
    };
    let mut command = Command::new(found);
    let path = std::env::var("PATH").unwrap();
    command
        .current_dir(root())
        // The tools find their helpers, and zig, there.
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

/// Runs a command that must succeed; returns its stdout.
async fn run_successfully(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

#[tokio::test]
async fn the_template_passes_the_linters() {
    if let Some(mut linter) = external_tool("cfn-lint") {
        assert_eq!(
            run_successfully(linter.args(["--include-checks", "I", "--", "template.yaml"])).await,
            ""
        );
    }
    for stage in ["default", "production"] {
        if let Some(mut sam) = external_tool("sam") {
            run_successfully(sam.args(["validate", "--lint", "--config-env", stage])).await;
        }
    }
}

/// Prints the parameters that `sam deploy` reads for each stage.
const STAGES: &str = "
import json, tomllib
from samcli.cli.types import CfnParameterOverridesType
stages = tomllib.load(open('samconfig.toml', 'rb'))
parameters = lambda stage: stages[stage]['global']['parameters']['parameter_overrides']
print(json.dumps({stage: CfnParameterOverridesType().convert(parameters(stage), None, None)
                  for stage in ('default', 'production')}))";

#[tokio::test]
async fn each_stage_has_its_own_secret_and_a_valid_sender() {
    let (Some(_), Some(mut python)) = (external_tool("sam"), external_tool("python")) else {
        return;
    };
    let stages: Value =
        serde_json::from_str(&run_successfully(python.args(["-c", STAGES])).await).unwrap();
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    for (stage, parameters) in stages.as_object().unwrap() {
        assert_eq!(
            parameters["SecretName"],
            format!("booking-automation/{}", stage.replace("default", "staging"))
        );
        assert!(
            Sender::parse(parameters["EmailFrom"].as_str().unwrap()).is_some(),
            "{parameters}"
        );
        for name in parameters.as_object().unwrap().keys() {
            assert!(
                template.contains(&format!("\n  {name}:\n    Type:")),
                "{stage}: {name}"
            );
        }
    }
}

/// `template.yaml` as plain CloudFormation. All tests share it.
struct Template(Value);

impl Template {
    /// Translates the template once; `None` where SAM is not installed.
    async fn translated() -> Option<&'static Self> {
        static TEMPLATE: OnceCell<Option<Template>> = OnceCell::const_new();
        TEMPLATE.get_or_init(Self::translate).await.as_ref()
    }

    async fn translate() -> Option<Self> {
        external_tool("sam")?; // it brings the translator
        let mut python = external_tool("python")?;
        let translated = run_successfully(python.arg("tests/it/translated.py")).await;
        Some(Self(serde_json::from_str(&translated).unwrap()))
    }

    fn resources(&self) -> &serde_json::Map<String, Value> {
        self.0["Resources"].as_object().unwrap()
    }

    fn resources_of_type(&self, kind: &str) -> Vec<&Value> {
        self.resources()
            .values()
            .filter(|resource| resource["Type"] == kind)
            .collect()
    }

    fn properties(&self, id: &str) -> &Value {
        &self.0["Resources"][id]["Properties"]
    }

    /// Whether the stack has the resource with these parameters.
    fn creates(&self, id: &str, parameters: &Value) -> bool {
        let condition = self.0["Resources"][id]["Condition"].as_str();
        condition.is_none_or(|name| self.holds(name, parameters))
    }

    /// The statements of the function's role with these parameters.
    fn statements(&self, parameters: &Value) -> Vec<&Value> {
        let policy = &self.properties("Role")["Policies"][0]["PolicyDocument"];
        self.of_array(&policy["Statement"], parameters)
    }

    /// What an array has with these parameters.
    fn of_array<'a>(&self, array: &'a Value, parameters: &Value) -> Vec<&'a Value> {
        let chosen = array.as_array().unwrap().iter().map(|element| {
            let choice = &element["Fn::If"];
            match choice[0].as_str() {
                Some(name) if self.holds(name, parameters) => &choice[1],
                Some(_) => &choice[2],
                None => element,
            }
        });
        chosen
            .filter(|element| **element != json!({"Ref": "AWS::NoValue"}))
            .collect()
    }

    /// Whether the condition of this name holds. Parameters that are not given have their defaults.
    fn holds(&self, name: &str, parameters: &Value) -> bool {
        let mut all = parameters.clone();
        for (name, parameter) in self.0["Parameters"].as_object().unwrap() {
            if all[name].is_null() {
                all[name] = parameter["Default"].clone();
            }
        }
        let conditions = &self.0["Conditions"];
        holds(&conditions[name], conditions, &all)
    }

    fn parameter_default(&self, name: &str) -> &Value {
        &self.0["Parameters"][name]["Default"]
    }
}

#[tokio::test]
async fn the_translated_template_passes_the_linter() {
    let (Some(template), Some(mut linter)) =
        (Template::translated().await, external_tool("cfn-lint"))
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("template.json");
    std::fs::write(&file, template.0.to_string()).unwrap();
    run_successfully(linter.arg(file)).await;
}

#[tokio::test]
async fn the_function_has_its_runtime_secrets_and_retries() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let function = template.properties("Function");
    assert_eq!(
        (&function["Handler"], &function["Runtime"]),
        (&json!("bootstrap"), &json!("provided.al2023"))
    );
    assert_eq!(template.parameter_default("Architecture"), "arm64");
    assert_eq!(template.parameter_default("ReservedConcurrency"), -1);
    assert_eq!(function["LoggingConfig"]["LogFormat"], "JSON");
    for name in [
        "DATABASE_URL",
        "CRON_SECRET",
        "CRON_SIGNING_SECRET",
        "ADMIN_TOKEN",
        "FCM_CREDENTIALS",
    ] {
        let value = function["Environment"]["Variables"][name].to_string();
        assert!(
            value.contains("{{resolve:secretsmanager:${SecretName}:SecretString:"),
            "{name}: {value}"
        );
        assert!(value.contains(&format!(":{name}::")), "{name}: {value}");
    }
    let retries: BTreeMap<_, _> = template
        .resources_of_type("AWS::Lambda::EventInvokeConfig")
        .iter()
        .map(|config| &config["Properties"])
        .map(|of| {
            (
                of["Qualifier"].as_str().unwrap(),
                (&of["MaximumRetryAttempts"], &of["MaximumEventAgeInSeconds"]),
            )
        })
        .collect();
    // The next schedule retries a pass. Nothing else retries an event about a mail or an SMS.
    let (none, some) = ((&json!(0), &json!(60)), (&json!(2), &json!(21600)));
    assert_eq!(
        retries,
        BTreeMap::from([("$LATEST", none), ("provider-events", some)])
    );
}

#[tokio::test]
async fn the_schedule_fires_every_minute_with_a_payload_that_the_function_accepts() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let schedule = &template.resources_of_type("AWS::Scheduler::Schedule")[0]["Properties"];
    assert_eq!(
        (
            &schedule["ScheduleExpression"],
            &schedule["FlexibleTimeWindow"]["Mode"]
        ),
        (&json!("rate(1 minute)"), &json!("OFF"))
    );
    let target = &schedule["Target"];
    assert_eq!(
        target["RetryPolicy"],
        json!({"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60})
    );
    assert_eq!(
        target["DeadLetterConfig"]["Arn"],
        json!({"Fn::GetAtt": ["DeadLetters", "Arn"]})
    );

    let payload: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
    let expected = json!({"trigger": "schedule", "scheduled_time": "<aws.scheduler.scheduled-time>",
        "execution_id": "<aws.scheduler.execution-id>", "attempt": "<aws.scheduler.attempt-number>"});
    assert_eq!(payload, expected);
    let app = App::new().await;
    assert_eq!(
        Instance::start(&app).await.invoke(&payload).await.unwrap()["outcome"],
        "completed"
    );
}

/// The resources by which the events about mails and SMS reach the function.
const EVENT_RESOURCES: [&str; 8] = [
    "SesEventDestination",
    "SesEventsRule",
    "SesEventsPermission",
    "SmsReceiptsRule",
    "SmsReceiptsPermission",
    "EventsAlias",
    "EventsInvokeConfig",
    "SesEventsDeadLettersPolicy",
];

#[tokio::test]
async fn events_about_mails_and_sms_are_received_where_each_is_on() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let (ses, sms, shared) = (
        &EVENT_RESOURCES[..3],
        &EVENT_RESOURCES[3..5],
        &EVENT_RESOURCES[5..],
    );
    for (set, from, expected) in [
        ("", "", vec![]),
        ("bookings", "", [ses, shared].concat()),
        ("", "+12065550100", [sms, shared].concat()),
        ("bookings", "+12065550100", EVENT_RESOURCES.to_vec()),
    ] {
        let parameters = json!({"SesConfigurationSet": set, "SmsFrom": from});
        let created = EVENT_RESOURCES
            .into_iter()
            .filter(|id| template.creates(id, &parameters));
        assert_eq!(created.collect::<Vec<_>>(), expected, "{parameters}");
        let statements = template.statements(&parameters);
        for (sid, is_expected) in [
            ("KeepEventsThatFailed", !expected.is_empty()),
            ("SendSms", !from.is_empty()),
        ] {
            let is_there = statements.iter().any(|statement| statement["Sid"] == sid);
            assert_eq!(is_there, is_expected, "{sid}: {parameters}");
        }
        // Each resource that the queue's policy names is there.
        let policy = template.properties("SesEventsDeadLettersPolicy");
        let allowed = &policy["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"];
        let rules = template.of_array(&allowed["aws:SourceArn"], &parameters);
        let named: Vec<_> = rules
            .iter()
            .map(|arn| arn["Fn::GetAtt"][0].as_str().unwrap())
            .collect();
        let expected_rules = expected.iter().filter(|id| id.ends_with("Rule"));
        assert_eq!(named, expected_rules.copied().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn events_reach_the_alias_and_failed_ones_the_dead_letter_queue() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let destination = &template.properties("SesEventDestination")["EventDestination"];
    let types = [
        "send",
        "delivery",
        "bounce",
        "complaint",
        "reject",
        "deliveryDelay",
        "renderingFailure",
    ];
    assert_eq!(destination["MatchingEventTypes"], json!(types));
    for (rule, permission, source) in [
        ("SesEventsRule", "SesEventsPermission", "aws.ses"),
        ("SmsReceiptsRule", "SmsReceiptsPermission", "aws.sms-voice"),
    ] {
        let properties = template.properties(rule);
        assert_eq!(properties["EventPattern"]["source"], json!([source]));
        let target = &properties["Targets"][0];
        assert_eq!(target["Arn"], json!({"Ref": "EventsAlias"}));
        assert_eq!(
            target["DeadLetterConfig"]["Arn"],
            json!({"Fn::GetAtt": ["DeadLetters", "Arn"]})
        );
        let permission = template.properties(permission);
        assert_eq!(permission["FunctionName"], json!({"Ref": "EventsAlias"}));
        assert_eq!(
            permission["SourceArn"],
            json!({"Fn::GetAtt": [rule, "Arn"]})
        );
    }
    let alias = template.properties("EventsAlias");
    assert_eq!(alias["FunctionVersion"], "$LATEST");
    let config = template.properties("EventsInvokeConfig");
    assert_eq!(config["Qualifier"], alias["Name"]);
    assert_eq!(
        config["DestinationConfig"]["OnFailure"]["Destination"],
        json!({"Fn::GetAtt": ["DeadLetters", "Arn"]})
    );
}

#[tokio::test]
async fn the_rule_for_receipts_has_the_events_that_the_program_reads() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let pattern = &template.properties("SmsReceiptsRule")["EventPattern"];
    assert_eq!(
        pattern["detail"],
        json!({"context": {"event_id": [{"exists": true}]}})
    );
    for name in ["sms-delivered", "sms-invalid"] {
        let event = example_event(name);
        for member in ["source", "detail-type"] {
            assert_eq!(pattern[member], json!([event[member]]), "{name}");
        }
        assert!(event["detail"]["context"]["event_id"].is_string());
    }
}

#[tokio::test]
async fn only_the_topic_of_replies_may_invoke_the_function_with_them() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let topic = "arn:aws:sns:eu-central-1:123456789012:sms-replies";
    for (from, topic, expected) in [
        ("", "", false),
        ("STUDIO", "", false),
        ("", topic, false),
        ("STUDIO", topic, true),
    ] {
        let parameters = json!({"SmsFrom": from, "SmsRepliesTopic": topic});
        for id in ["SmsReplies", "SmsRepliesPermission"] {
            let is_there = template.creates(id, &parameters);
            assert_eq!(is_there, expected, "{id}: {parameters}");
        }
    }
    let (alias, topic) = (
        json!({"Ref": "EventsAlias"}),
        json!({"Ref": "SmsRepliesTopic"}),
    );
    let subscription = template.properties("SmsReplies");
    assert_eq!(
        *subscription,
        json!({"TopicArn": topic, "Protocol": "lambda", "Endpoint": alias})
    );
    let permission = template.properties("SmsRepliesPermission");
    assert_eq!(
        (&permission["Principal"], &permission["SourceArn"]),
        (&json!("sns.amazonaws.com"), &topic)
    );
    assert_eq!(permission["FunctionName"], alias);
}

#[tokio::test]
async fn sms_and_push_are_off_unless_a_parameter_says_otherwise() {
    let Some(template) = Template::translated().await else {
        return;
    };
    assert_eq!(template.parameter_default("SmsFrom"), "");
    assert_eq!(template.parameter_default("Push"), "false");
    let variables = &template.properties("Function")["Environment"]["Variables"];
    let key = &variables["FCM_CREDENTIALS"]["Fn::If"];
    assert_eq!(
        (&key[0], &key[2]),
        (&json!("HasPush"), &json!({"Ref": "AWS::NoValue"}))
    );
}

/// Settings that the template leaves out, and why.
const WITHOUT_PARAMETER: [&str; 3] = [
    "AWS_REGION",   // the stack's own
    "FCM_ENDPOINT", // for local runs and tests
    "RUST_LOG",     // a deployed function keeps the default
];

#[tokio::test]
async fn every_setting_of_the_guide_is_in_the_template() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let guide = std::fs::read_to_string(root().join("docs/settings.md")).unwrap();
    let documented = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .filter(|name| {
            name.chars()
                .all(|one| one.is_ascii_uppercase() || "_0123456789".contains(one))
        });
    let variables = &template.properties("Function")["Environment"]["Variables"];
    let missing: Vec<_> = documented
        .filter(|name| variables[name].is_null())
        .collect();
    assert_eq!(missing, WITHOUT_PARAMETER);
}

#[tokio::test]
async fn the_function_has_only_the_permissions_that_it_needs() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let statements = template.properties("Role")["Policies"][0]["PolicyDocument"]["Statement"]
        .as_array()
        .unwrap();
    let mut allowed = Vec::new();
    for statement in statements {
        // Three statements are conditional: for the SES sandbox, for SMS, and for the queue of events.
        let statement = if statement["Fn::If"].is_array() {
            &statement["Fn::If"][1]
        } else {
            statement
        };
        let actions = statement["Action"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![statement["Action"].clone()]);
        let resource = if statement["Resource"] == "*" {
            " on *"
        } else {
            ""
        };
        allowed.extend(
            actions
                .iter()
                .map(|action| format!("{}{resource}", action.as_str().unwrap())),
        );
    }
    insta::assert_snapshot!(allowed.join("\n"), @r"
    ses:SendEmail
    ses:SendRawEmail
    ses:SendEmail
    ses:SendRawEmail
    ses:GetAccount on *
    sms-voice:SendTextMessage
    logs:CreateLogStream
    logs:PutLogEvents
    sqs:SendMessage
    ");
    assert!(
        statements[0]["Resource"]
            .to_string()
            .contains(":identity/${EmailIdentity}")
    );
    assert_eq!(
        (&statements[1]["Fn::If"][0], &statements[1]["Fn::If"][2]),
        (&json!("InSesSandbox"), &json!({"Ref": "AWS::NoValue"}))
    );
    assert_eq!(template.parameter_default("SesSandbox"), "false");
    let sms = statements[3]["Fn::If"][1]["Resource"].as_array().unwrap();
    let of_sms: Vec<_> = sms
        .iter()
        .map(|arn| arn["Fn::Sub"].as_str().unwrap().rsplit_once(':').unwrap())
        .map(|(account, resource)| {
            let expected = "arn:${AWS::Partition}:sms-voice:${AWS::Region}:${AWS::AccountId}";
            assert_eq!(account, expected);
            resource
        })
        .collect();
    assert_eq!(
        of_sms,
        [
            "phone-number/*",
            "pool/*",
            "sender-id/*",
            "configuration-set/*"
        ]
    );
}

#[tokio::test]
async fn http_access_exists_only_if_it_is_requested() {
    let Some(template) = Template::translated().await else {
        return;
    };
    assert_eq!(template.parameter_default("HttpAccess"), "none");
    assert_eq!(template.parameter_default("Support"), "false");
    for kind in ["AWS::Lambda::Url", "AWS::Lambda::Permission"] {
        let public = template
            .resources_of_type(kind)
            .into_iter()
            .filter(|resource| {
                let principal = &resource["Properties"]["Principal"];
                *principal != "events.amazonaws.com" && *principal != "sns.amazonaws.com"
            });
        assert!(
            public
                .into_iter()
                .all(|resource| resource["Condition"] == "HasFunctionUrl"),
            "{kind}"
        );
    }
    assert_eq!(
        template.resources_of_type("AWS::Lambda::Permission").len(),
        5
    );
}

#[tokio::test]
async fn missing_passes_and_logged_errors_raise_alarms() {
    let Some(template) = Template::translated().await else {
        return;
    };
    let alarm = template.properties("NoPassAlarm");
    assert_eq!(
        (
            &alarm["EvaluationPeriods"],
            &alarm["Period"],
            &alarm["TreatMissingData"]
        ),
        (&json!(5), &json!(60), &json!("breaching"))
    );
    assert_eq!(
        template.properties("CompletedPasses")["FilterPattern"],
        r#"{ $.pass = "committed" }"#
    );
    // A call that answers can still log an error, for example if the account cannot send.
    assert_eq!(
        template.properties("ErrorLines")["FilterPattern"],
        r#"{ $.level = "ERROR" }"#
    );
    assert_eq!(
        template.properties("ErrorLinesAlarm")["MetricName"],
        "ErrorLines"
    );
}

#[tokio::test]
async fn an_alarm_about_silence_exists_only_where_the_stack_fires_passes() {
    let Some(template) = Template::translated().await else {
        return;
    };
    // Every alarm for which missing data is a fault, or a low figure is, waits for something that must happen.
    let of_silence: Vec<_> = template
        .resources()
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .filter(|(_, alarm)| {
            let of = &alarm["Properties"];
            of["TreatMissingData"] != "notBreaching"
                || of["ComparisonOperator"] != "GreaterThanOrEqualToThreshold"
        })
        .map(|(id, alarm)| (id.as_str(), alarm["Condition"].as_str()))
        .collect();
    assert_eq!(of_silence, [("NoPassAlarm", Some("FiresPasses"))]);
    for (schedule, access, support, expected) in [
        ("ENABLED", "none", "false", true),
        ("ENABLED", "none", "true", true),
        ("DISABLED", "bearer", "false", true),
        ("DISABLED", "signature", "false", true),
        ("DISABLED", "both", "true", true),
        ("DISABLED", "none", "true", false),
        ("DISABLED", "none", "false", false),
    ] {
        let parameters = json!({"Schedule": schedule, "HttpAccess": access, "Support": support});
        let is_silence_a_fault = template.holds("FiresPasses", &parameters);
        assert_eq!(is_silence_a_fault, expected, "{parameters}");
    }
}

/// Whether a condition of the template holds with these parameters.
fn holds(condition: &Value, conditions: &Value, parameters: &Value) -> bool {
    let (function, of) = condition.as_object().unwrap().iter().next().unwrap();
    let value = |of: &Value| match of["Ref"].as_str() {
        Some(name) => parameters[name].clone(),
        None => of.clone(),
    };
    let mut all = of.as_array().into_iter().flatten();
    match function.as_str() {
        "Condition" => holds(&conditions[of.as_str().unwrap()], conditions, parameters),
        "Fn::Equals" => value(&of[0]) == value(&of[1]),
        "Fn::Or" => all.any(|it| holds(it, conditions, parameters)),
        "Fn::And" => all.all(|it| holds(it, conditions, parameters)),
        "Fn::Not" => !holds(&of[0], conditions, parameters),
        _ => panic!("{condition}"),
    }
}

#[tokio::test]
async fn no_resource_has_a_fixed_name_so_that_two_stages_fit_into_one_account() {
    let Some(template) = Template::translated().await else {
        return;
    };
    // An alias belongs to its function: its name may be fixed.
    for (id, resource) in template
        .resources()
        .iter()
        .filter(|(_, resource)| resource["Type"] != "AWS::Lambda::Alias")
    {
        for name in [
            "Name",
            "FunctionName",
            "QueueName",
            "RoleName",
            "LogGroupName",
            "AlarmName",
        ] {
            assert!(
                !resource["Properties"][name].is_string(),
                "{id} has the fixed {name}"
            );
        }
    }
}

/// `cargo lambda watch` on a port of this machine; killed when dropped.
struct Emulator {
    address: [String; 4],
    process: Child,
}

impl Emulator {
    /// Starts it; `None` where cargo-lambda is not installed.
    async fn start() -> Option<Self> {
        let mut command = external_tool("cargo-lambda")?;
        let port = free_port();
        let address = [
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
            &port.to_string(),
        ]
        .map(str::to_owned);
        let mut process = command
            .args(["lambda", "watch", "--only-lambda-apis"])
            .args(&address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        listens(port, &mut process).await;
        Some(Self { address, process })
    }

    /// Starts the program as the function that the emulator invokes.
    fn start_function(&self, app: &App) -> Child {
        let [.., port] = &self.address;
        app.command(&[])
            .envs([
                (
                    "AWS_LAMBDA_RUNTIME_API",
                    format!("http://127.0.0.1:{port}/.rt").as_str(),
                ),
                ("AWS_LAMBDA_FUNCTION_NAME", "_"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("CRON_SECRET", "local-secret-0123456789"),
                (
                    "CRON_SIGNING_SECRET",
                    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                ),
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs `cargo lambda invoke` with the payload in a file.
    async fn invoke(&self, file: &Path) -> std::process::Output {
        let mut command = external_tool("cargo-lambda").unwrap();
        command
            .args(["lambda", "invoke"])
            .args(&self.address)
            .arg("--data-file")
            .arg(file)
            .output()
            .await
            .unwrap()
    }
}

/// Each file of `events/`, and a part of the answer to it.
const ANSWERS_TO_EXAMPLES: [(&str, &str); 15] = [
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
    ("sms-delivered", r#""reason":"not_ours""#),
    ("sms-invalid", r#""reason":"not_ours""#),
    ("sms-reply", r#""reason":"topic""#),
];

#[tokio::test]
async fn every_example_event_works_in_cargo_lambda() {
    let Some(mut emulator) = Emulator::start().await else {
        return;
    };
    let app = App::empty().await;
    let mut function = emulator.start_function(&app);
    for (name, expected) in ANSWERS_TO_EXAMPLES {
        let output = emulator
            .invoke(&root().join(format!("events/{name}.json")))
            .await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains(expected),
            "{name}: {output:?}"
        );
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("events"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    assert_eq!(
        files.len(),
        ANSWERS_TO_EXAMPLES.len(),
        "each file has an expected answer: {files:?}"
    );

    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), r#"{"trigger":"other"}"#).unwrap();
    let output = emulator.invoke(other.path()).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("UnknownPayload"),
        "{output:?}"
    );
    function.kill().await.unwrap();
    emulator.process.kill().await.unwrap();
}

#[tokio::test]
async fn the_binary_built_by_sam_runs() {
    let Some(mut sam) = external_tool("sam") else {
        return;
    };
    if external_tool("cargo-lambda").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    };
    sam.args([
        "build",
        "--parameter-overrides",
        &format!("Architecture={architecture}"),
        "--build-dir",
    ])
    .arg(directory.path())
    // The test of the README makes the release build; this build is only quick.
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
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed"
    );
    let error = instance
        .invoke_within(Duration::from_secs(60), b"{}".to_vec())
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "UnknownPayload");
}
