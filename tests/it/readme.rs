//! What the documents say, held against what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::app::App;

const PROGRAM: &str = env!("CARGO_BIN_EXE_booking-automation");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The documents, each with the directory that its links start from.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|file| file.unwrap().path());
    let named = ["README.md", "CHANGELOG.md"].map(|name| root().join(name));
    let files =
        named.into_iter().chain(docs).filter(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.map(|file| (file.clone(), std::fs::read_to_string(&file).unwrap())).collect()
}

/// What stands outside fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What each fenced block of a language holds.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fences = text.split("```").skip(1).step_by(2);
    fences.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// What stands between backticks.
fn code(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The anchors that a Markdown renderer gives a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (file, text) in documents() {
        let prose = prose(&text);
        for link in prose.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            links += 1;
            if link.contains("://") {
                let url: url::Url = link.parse().unwrap();
                assert_eq!((url.scheme(), url.has_host()), ("https", true), "{link}");
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", file.display());
            if !anchor.is_empty() {
                let there = std::fs::read_to_string(&target).unwrap();
                assert!(anchors(&there).contains(anchor), "{}: {link}", file.display());
            }
        }
        // Paths that are only named.
        for path in code(&text) {
            let first = path.split('/').next().unwrap();
            let ours = ["src", "docs", "tests", "events", "bench", "migrations", "templates", "scripts", "demo"]
                .contains(&first);
            if ours && !path.contains([' ', '<', '*']) {
                assert!(root().join(&path).exists(), "{}: {path}", file.display());
            }
        }
    }
    assert!(links >= 7, "{links}");
}

#[tokio::test]
async fn its_commands_are_there() {
    let readme = readme();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let lines: Vec<_> = blocks(&readme, "sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let mut commands: Vec<_> = lines.into_iter().chain(code(&readme)).collect();
    for command in &mut commands {
        *command = command.split(" #").next().unwrap().trim().to_owned();
    }
    let targets: Vec<_> =
        commands.iter().filter_map(|command| command.split_once("make ")).map(|(_, target)| target).collect();
    assert!(targets.contains(&"test") && targets.contains(&"demo"), "{targets:?}");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }

    // With --help behind it, a command line is judged and nothing is done.
    let accepts = async |arguments: &str| {
        let arguments = arguments.replace("$PORT", "9000");
        Command::new(PROGRAM).args(arguments.split_whitespace()).arg("--help").output().await.unwrap().status.success()
    };
    let calls: BTreeSet<_> = commands
        .iter()
        .filter(|command| !command.contains("://") && !command.contains("…"))
        .filter_map(|command| command.split_once("booking-automation "))
        .filter(|(before, _)| before.is_empty() || before.ends_with(['/', ' ']))
        .map(|(_, arguments)| arguments)
        .collect();
    assert!(
        calls.contains("run --dry-run") && calls.iter().any(|call| call.starts_with("serve --listen")),
        "{calls:?}"
    );
    for call in calls {
        assert!(accepts(call).await, "booking-automation {call}");
    }
    assert!(!accepts("run --dryrun").await && !accepts("prepare").await);
}

#[tokio::test]
async fn its_first_steps_work_as_they_stand_there() {
    let app = App::empty().await;
    let readme = readme();
    let (_, section) = readme.split_once("## On your own database").unwrap();
    let steps =
        blocks(section, "sh")[0].replace("make release ", ": ").replace("target/release/booking-automation", PROGRAM);
    let steps = steps.replace("postgres://user:password@host:5432/database", &app.url);
    let mut shell = Command::new("sh");
    let output = shell.args(["-e", "-c", &steps]).envs(&app.env).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let outcomes: Vec<_> =
        said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes, ["dry_run", "dry_run", "completed"], "{said}{}", String::from_utf8_lossy(&output.stderr));
}
