//! The documents are compared with the program: links, paths, commands, SQL, settings and reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::app::App;

const PROGRAM: &str = env!("CARGO_BIN_EXE_booking-automation");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All files below a directory whose names end in this.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The documents with their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let named = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    let documents = named.into_iter().chain(files(&root().join("docs"), ".md"));
    documents
        .map(|file| (file.clone(), fs::read_to_string(&file).unwrap()))
        .collect()
}

/// The documents that people write, without those that tools write.
fn guides() -> Vec<(PathBuf, String)> {
    let generated = root().join("docs/generated");
    documents()
        .into_iter()
        .filter(|(file, _)| !file.starts_with(&generated))
        .collect()
}

/// The text outside fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The contents of the fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fences = text.split("```").skip(1).step_by(2);
    fences
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

/// The texts between backticks.
fn code(text: &str) -> Vec<String> {
    prose(text)
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The shell's command lines in blocks and between backticks, without comments, continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let shell = blocks(text, "sh")
        .into_iter()
        .map(|block| block.replace("\\\n", " "));
    let lines: Vec<_> = shell
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let lines = lines.into_iter().chain(code(text));
    lines
        .map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .collect()
}

/// The anchors that a Markdown renderer gives a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

/// The rows of the table below a heading, without its head; each row as its cells.
fn table(text: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(&format!("{head}\n")).unwrap();
    let rows = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

fn is_word(name: &str, letter: fn(char) -> bool) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|character| letter(character) || character == '_')
}

#[test]
fn every_link_and_path_exists() {
    let (mut links, mut missing) = (0, BTreeSet::new());
    let sources = files(&root().join("src"), "");
    for (file, text) in documents() {
        let prose = prose(&text);
        for link in prose
            .split("](")
            .skip(1)
            .map(|rest| rest.split_once(')').unwrap().0)
        {
            links += 1;
            if link.contains("://") {
                let url: url::Url = link.parse().unwrap();
                assert_eq!((url.scheme(), url.has_host()), ("https", true), "{link}");
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(path)
            };
            let there = if anchor.is_empty() {
                String::new()
            } else {
                fs::read_to_string(&target).unwrap_or_default()
            };
            if !target.exists() || !anchor.is_empty() && !anchors(&there).contains(anchor) {
                missing.insert(format!("{}: {link}", file.display()));
            }
        }
        // Paths that are only named.
        for path in code(&text) {
            let first = path.split('/').next().unwrap();
            let ours = [
                "src",
                "docs",
                "tests",
                "events",
                "bench",
                "migrations",
                "schema",
                "scripts",
                "demo",
                "fuzz",
            ]
            .contains(&first);
            if ours && !path.contains([' ', '<', '*']) && !root().join(&path).exists() {
                missing.insert(format!("{}: {path}", file.display()));
            }
            // A module by its name alone.
            if !ours
                && path.ends_with(".rs")
                && !sources.iter().any(|source| source.ends_with(&path))
            {
                missing.insert(format!("{}: {path}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(links >= 50, "{links}");
}

#[test]
fn the_readme_has_two_screens_and_lists_every_guide() {
    let readme = read("README.md");
    assert!(
        readme.lines().count() <= 95,
        "{} lines",
        readme.lines().count()
    );
    for (file, _) in guides() {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        assert!(
            path.starts_with("README") || path.starts_with("CHANGELOG") || readme.contains(&path),
            "{path}"
        );
    }
}

#[test]
fn every_make_target_script_file_and_test_in_a_command_exists() {
    let makefile = read("Makefile");
    let mut sources = vec![makefile.clone(), read("fuzz/fuzz.py")];
    sources.extend(
        files(&root().join("tests/it"), ".rs")
            .iter()
            .map(|file| fs::read_to_string(file).unwrap()),
    );
    let sources = sources.concat();
    let mut targets = BTreeSet::new();
    for (file, command) in guides()
        .iter()
        .flat_map(|(file, text)| commands(text).into_iter().map(move |c| (file, c)))
    {
        let said = format!("{}: {command}", file.display());
        let words: Vec<_> = command.split_whitespace().collect();
        for pair in words.windows(2) {
            match *pair {
                ["make", target] => {
                    targets.insert(target.to_owned());
                    assert!(makefile.contains(&format!("\n{target}:")), "{said}");
                }
                ["--", filter] if command.contains("cargo test") => {
                    let name = filter.trim_end_matches("::");
                    let is_there = root().join(format!("tests/it/{name}.rs")).exists();
                    assert!(
                        is_there || sources.contains(&format!("fn {name}")),
                        "{said}"
                    );
                }
                ["--data-file", path] if !path.starts_with("target/") => {
                    assert!(root().join(path).exists(), "{said}")
                }
                _ => {}
            }
        }
        for word in &words {
            if let Some(path) = word.strip_prefix("file://") {
                assert!(root().join(path).exists(), "{said}");
            }
        }
        if words
            .first()
            .is_some_and(|word| word.starts_with("scripts/") || word.starts_with("events/"))
        {
            assert!(root().join(words[0]).exists(), "{said}");
        }
        // Variables that a command is given.
        if ["make", "cargo"]
            .iter()
            .any(|program| words.contains(program))
        {
            for (name, _) in words.iter().filter_map(|word| word.split_once('=')) {
                let is_name = is_word(name, |letter| letter.is_ascii_uppercase());
                assert!(
                    !is_name || name == "INSTA_UPDATE" || sources.contains(name),
                    "{said}"
                );
            }
        }
    }
    for target in ["test", "demo", "check", "chaos"] {
        assert!(targets.contains(target), "{targets:?}");
    }
}

#[tokio::test]
async fn the_program_accepts_every_call_of_it() {
    // With --help at its end, a command line is parsed and nothing is done.
    let accepts = async |arguments: &str| {
        let arguments = arguments.replace("$PORT", "9000");
        Command::new(PROGRAM)
            .args(arguments.split_whitespace())
            .arg("--help")
            .output()
            .await
            .unwrap()
            .status
            .success()
    };
    let calls: BTreeSet<_> = guides()
        .iter()
        .flat_map(|(_, text)| commands(text))
        .filter(|command| !command.contains("://") && !command.contains("…"))
        .filter_map(|command| {
            let (before, arguments) = command.split_once("booking-automation ")?;
            (before.is_empty() || before.ends_with(['/', ' '])).then(|| arguments.to_owned())
        })
        .collect();
    assert!(
        calls.contains("run --dry-run")
            && calls.iter().any(|call| call.starts_with("serve --listen")),
        "{calls:?}"
    );
    for call in calls {
        assert!(accepts(&call).await, "booking-automation {call}");
    }
    assert!(!accepts("run --dryrun").await && !accepts("prepare").await);
}

#[test]
fn every_route_in_a_request_is_described() {
    let openapi = files(&root().join("src"), "openapi.json").pop().unwrap();
    let openapi: Value = serde_json::from_str(&fs::read_to_string(openapi).unwrap()).unwrap();
    let mut requests = 0;
    for (file, text) in guides() {
        for command in commands(&text)
            .iter()
            .filter(|command| command.starts_with("curl "))
        {
            let words: Vec<_> = command
                .split_whitespace()
                .map(|word| word.trim_matches('"'))
                .collect();
            let path = words
                .iter()
                .find_map(|word| word.strip_prefix("$URL"))
                .unwrap();
            let path = path
                .split('?')
                .next()
                .unwrap()
                .replace('<', "{")
                .replace('>', "}");
            let method = match words.iter().position(|word| *word == "-X") {
                Some(at) => words[at + 1].to_lowercase(),
                None if words.contains(&"-d") => "post".to_owned(),
                None => "get".to_owned(),
            };
            let is_there = path == "/run" || openapi["paths"][&path][&method].is_object();
            assert!(is_there, "{}: {method} {path}", file.display());
            requests += 1;
        }
        // Routes that are only named.
        for named in code(&text) {
            let Some((method, path)) = named.split_once(' ') else {
                continue;
            };
            if ["GET", "POST", "DELETE"].contains(&method) && !["/run", "/health"].contains(&path) {
                let path = path.split('?').next().unwrap();
                let is_there = openapi["paths"][path][method.to_lowercase()].is_object();
                assert!(is_there, "{}: {named}", file.display());
            }
        }
    }
    assert!(requests >= 8, "{requests}");
}

#[tokio::test]
async fn every_statement_of_the_guides_runs() {
    let app = App::new().await;
    let mut statements = 0;
    for (file, text) in guides() {
        for block in blocks(&text, "sql") {
            let sql = block
                .replace("whsec_…", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
                .replace('…', "00000000-0000-0000-0000-000000000001")
                .replace("TO support", "TO CURRENT_USER");
            let outcome = app
                .db
                .batch_execute(&format!("BEGIN; {sql}; ROLLBACK"))
                .await;
            assert!(outcome.is_ok(), "{}: {sql}\n{outcome:?}", file.display());
            statements += 1;
        }
    }
    assert!(statements >= 6, "{statements}");
}

#[test]
fn every_json_example_is_json() {
    for (file, text) in guides() {
        for block in blocks(&text, "json") {
            let outcome = serde_json::from_str::<Value>(block);
            assert!(outcome.is_ok(), "{}: {block}\n{outcome:?}", file.display());
        }
    }
}

#[tokio::test]
async fn its_first_steps_work_as_they_stand_there() {
    let app = App::empty().await;
    let readme = read("README.md");
    let (_, section) = readme.split_once("## On your own database").unwrap();
    let steps = blocks(section, "sh")[0]
        .replace("make release ", ": ")
        .replace("target/release/booking-automation", PROGRAM);
    let steps = steps.replace("postgres://user:password@host:5432/database", &app.url);
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-e", "-c", &steps])
        .envs(&app.env)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // First the lines of `check`, then JSON.
    let (findings, answers): (Vec<_>, Vec<_>) =
        said.lines().partition(|line| !line.starts_with('{'));
    assert!(findings.len() > 5 && !said.contains("error "), "{said}");
    let outcomes: Vec<_> = answers
        .into_iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone())
        .collect();
    assert_eq!(
        outcomes,
        ["dry_run", "completed"],
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_table_of_settings_has_every_variable_of_the_program() {
    // Set by Lambda, or for tests only.
    let internal = [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_LOG_FORMAT",
        "TEST_TIME_DIVISOR",
    ];
    // What stands before a variable's name where it is read or refused; blanks and line breaks are left out.
    let before = [
        "lookup,",
        "NAME:&str=",
        "SettingError::new(",
        "env::var(",
        "env::var_os(",
    ];
    let mut of_program = BTreeSet::new();
    for file in files(&root().join("src"), ".rs") {
        let source: String = fs::read_to_string(file)
            .unwrap()
            .split_whitespace()
            .collect();
        for before in before {
            for rest in source.split(&format!("{before}\"")).skip(1) {
                let name = rest.split('"').next().unwrap();
                if is_word(name, |letter| letter.is_ascii_uppercase()) && !internal.contains(&name)
                {
                    of_program.insert(name.to_owned());
                }
            }
        }
    }
    let documented = table(
        &read("docs/settings.md"),
        "| variable | meaning | default |",
    );
    let documented: BTreeSet<_> = documented
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(documented, of_program);
}

#[test]
fn the_table_of_reasons_is_the_one_of_the_program() {
    use booking_automation::reminders::Reason;

    let documented = table(&read("docs/why-reminded.md"), "| reason | why |");
    let of_program = Reason::ALL.iter();
    let of_program = of_program.map(|reason| {
        vec![
            format!("`{}`", reason.as_str()),
            reason.sentence().to_owned(),
        ]
    });
    let of_program: Vec<_> = of_program.collect();
    let expected: String = of_program
        .iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect();
    assert_eq!(
        documented, of_program,
        "the table in docs/why-reminded.md must be\n{expected}"
    );
}

#[test]
fn every_test_that_a_guide_names_exists() {
    let sources = files(&root().join("tests/it"), ".rs");
    let sources: String = sources
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let texts: String = guides().into_iter().map(|(_, text)| text).collect();
    // A sentence, and not the name of a table, column or trigger.
    let is_test = |name: &String| {
        is_word(name, |letter| letter.is_ascii_lowercase())
            && name.matches('_').count() >= 5
            && !name.starts_with("booking_automation_")
    };
    let named: BTreeSet<_> = code(&texts).into_iter().filter(is_test).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !sources.contains(&format!("fn {name}()")))
        .collect();
    assert!(missing.is_empty() && named.len() >= 15, "{missing:#?}");
}
