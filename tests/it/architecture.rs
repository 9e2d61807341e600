//! The structure of the code: which room may use which (the picture in `docs/ARCHITECTURE.md` shows
//! the same), and that every name in the SQL is one that the Rust enums have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use booking_automation::bookings::cancellation::tiers::Case;
use booking_automation::bookings::lifecycle::{Role, Status};
use booking_automation::channels::Channel;
use booking_automation::delivery::event::{EventStatus, EventType};
use booking_automation::messages::kind_name::KindName;
use booking_automation::reminders::Reason;
use booking_automation::reminders::notices::NoticeEvent;

/// The floors of the house, from the top. A room uses rooms on lower floors, and none on its own floor.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["entry"],
    &["http"],
    &["support"],
    &["tick"],
    &["operations"],
    &["delivery"],
    &["channels", "people"],
    &["messages", "bookings", "reminders"],
    &["database"],
    &["primitives"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the project with this ending, by their path from the project's root.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                walk(&entry, ending, found);
            } else if entry.to_string_lossy().ends_with(ending) {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    let name = |path: &Path| {
        path.strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    found
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// `src/bookings/mod.rs` → `bookings`, `src/bookings/steps.rs` → `bookings::steps`.
fn module_of(file: &str) -> String {
    let path = file
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    path.replace('/', "::")
}

/// Every `crate::…` path in a source file, braces taken apart, comments left out.
fn paths_used(source: &str) -> BTreeSet<String> {
    let code: Vec<_> = source
        .lines()
        .map(|line| line.split("// ").next().unwrap())
        .collect();
    let code = code.join(" ").replace("booking_automation::", "crate::");
    let mut paths = BTreeSet::new();
    for start in code
        .match_indices("crate::")
        .map(|(at, found)| at + found.len())
    {
        let rest = &code[start..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && !"_:{".contains(c))
            .unwrap_or(rest.len());
        match rest[..end].find('{') {
            None => _ = paths.insert(rest[..end].trim_end_matches(':').to_owned()),
            Some(brace) => {
                let inside = balanced(&rest[brace + 1..]);
                let before = rest[..brace].trim_end_matches("::");
                for part in split_at_commas(inside) {
                    let part = part
                        .split([' ', '{'])
                        .next()
                        .unwrap()
                        .trim_end_matches("::");
                    let joined = [before, part]
                        .into_iter()
                        .filter(|part| !part.is_empty() && *part != "self");
                    paths.insert(joined.collect::<Vec<_>>().join("::"));
                }
            }
        }
    }
    paths
}

/// The text up to the brace that closes.
fn balanced(text: &str) -> &str {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Module → the modules that it uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn arrows(sources: &BTreeMap<String, String>) -> Arrows {
    let modules: BTreeSet<_> = sources.keys().map(|file| module_of(file)).collect();
    let module_named = |path: &str| {
        let parts: Vec<_> = path.split("::").collect();
        (1..=parts.len())
            .rev()
            .map(|length| parts[..length].join("::"))
            .find(|module| modules.contains(module))
    };
    let used = |source: &String| {
        paths_used(source)
            .iter()
            .filter_map(|path| module_named(path))
            .collect()
    };
    sources
        .iter()
        .map(|(file, source)| (module_of(file), used(source)))
        .collect()
}

fn floor_of(room: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&room));
    floor.unwrap_or_else(|| {
        panic!("{room} is on no floor: add it to FLOORS and to docs/ARCHITECTURE.md")
    })
}

/// The arrows that do not go down, as `bookings::steps → tick::pass`.
fn arrows_up(arrows: &Arrows) -> Vec<String> {
    let room = |module: &str| module.split("::").next().unwrap().to_owned();
    let mut up = Vec::new();
    for (from, targets) in arrows.iter().filter(|(from, _)| *from != "lib") {
        for to in targets {
            let (upper, lower) = (room(from), room(to));
            if upper != lower && floor_of(&upper) >= floor_of(&lower) {
                up.push(format!("{from} → {to}"));
            }
        }
    }
    up
}

/// The first circle of modules, as `a → b → a`.
fn circle(arrows: &Arrows) -> Option<String> {
    fn visit(
        module: &str,
        arrows: &Arrows,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<String> {
        if let Some(start) = path.iter().position(|passed| passed == module) {
            path.push(module.to_owned());
            return Some(path[start..].join(" → "));
        }
        if !done.contains(module) {
            path.push(module.to_owned());
            for next in arrows[module].iter().filter(|next| *next != module) {
                if let Some(circle) = visit(next, arrows, path, done) {
                    return Some(circle);
                }
            }
            path.pop();
            done.insert(module.to_owned());
        }
        None
    }
    let mut done = BTreeSet::new();
    arrows
        .keys()
        .find_map(|module| visit(module, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn every_arrow_between_rooms_goes_down() {
    let sources = files("src", ".rs");
    let arrows = arrows(&sources);
    assert_eq!(arrows_up(&arrows), Vec::<String>::new());
    assert_eq!(circle(&arrows), None);
    // Paths that the test cannot follow.
    for (file, source) in &sources {
        assert!(
            !source.contains("use super::") || source.contains("#[cfg(test)]"),
            "{file} uses super::"
        );
        assert!(!source.contains("use crate::{"), "{file}: one `use` a room");
    }
    // It sees the arrows that are there.
    let uses = |from: &str, to: &str| arrows[from].contains(to);
    assert!(
        uses("tick", "delivery")
            && uses("bookings::status_change", "bookings::judge")
            && uses("main", "entry::cli")
    );
}

#[test]
fn an_arrow_up_and_a_circle_are_found() {
    let sources = |files: &[(&str, &str)]| -> BTreeMap<String, String> {
        files
            .iter()
            .map(|(file, source)| (format!("src/{file}"), (*source).to_owned()))
            .collect()
    };
    let up = sources(&[
        (
            "tick/pass.rs",
            "use crate::{http::{self, auth::Caller}, database};",
        ),
        ("http/mod.rs", ""),
        ("http/auth.rs", "// use crate::entry::cli;"),
        ("database/mod.rs", "fn f() { crate::tick::pass::run() }"),
    ]);
    let expected = ["database → tick::pass", "tick::pass → http"];
    assert_eq!(arrows_up(&arrows(&up)), expected);
    let round = sources(&[
        ("bookings/a.rs", "use crate::bookings::b::B;"),
        ("bookings/b.rs", "use crate::bookings::{c};"),
        ("bookings/c.rs", "use crate::bookings::a::A;"),
    ]);
    assert_eq!(
        circle(&arrows(&round)).unwrap(),
        "bookings::a → bookings::b → bookings::c → bookings::a"
    );
}

#[test]
fn no_file_no_function_and_no_line_is_too_long() {
    for (file, source) in files("src", ".rs") {
        let lines: Vec<_> = source.lines().collect();
        assert!(lines.len() <= 400, "{file} has {} lines", lines.len());
        for (start, line) in lines.iter().enumerate() {
            // rustfmt leaves texts and comments as they are.
            let width = line.chars().count();
            assert!(width <= 100, "{file}:{} has {width} characters", start + 1);
            let words = line
                .trim_start()
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ");
            let words = words
                .trim_start_matches("const ")
                .trim_start_matches("async ");
            let Some(name) = words.strip_prefix("fn ") else {
                continue;
            };
            // That of a trait may have no body.
            let mut ends = lines[start..].iter().map(|line| line.chars().last());
            if ends.find(|end| matches!(end, Some('{' | ';'))) == Some(Some(';')) {
                continue;
            }
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = lines[start..]
                .iter()
                .position(|line| *line == format!("{indent}}}"));
            let length = end.map_or(1, |end| end + 1);
            assert!(
                length <= 50,
                "{file}: fn {} has {length} lines",
                name.split(['(', '<']).next().unwrap()
            );
        }
    }
}

/// Words in quotes that are no name of an enum's: members of JSON objects, parts of records, and words of PostgreSQL.
const OTHER_WORDS: [&str; 8] = [
    // The outcome of bookings that were tried one by one.
    "ended_early hint message moved refused state tried",
    // Members of event_data, and of the bodies of webhooks.
    "asks_attendance at attempt attempts audience begins booking_id booking_status by carrier_fee chain channel claimed_by claimed_reason data digest due_at ends error flag_error followed_reason follows forgotten from id \
     message_id notice on_event opt_outs outcome parts person_id price quiet_hours reason recipient refund rule run_id said sequence session_user settled_by starts_at timestamp to told type until via zone_unknown",
    // A rule of digests, outcomes of an attempt besides the reasons, kinds of erasures, providers' events, reasons to suppress, replies, and answers to them.
    "daily released sent person retention attends cannot_attend contact link opted_in bounced bounced_softly delivered rejected rendering_failed undelivered",
    // Columns of bookings that may be missing.
    "auto_complete_blocked auto_status_updated automation_logs cancellation_reason cancelled_at cancelled_by completed_at \
     customer_id duration_minutes id provider_id reminder_h_sent",
    // The user's own tables.
    "cancellation_policies cancellation_policy_conditions condition_type condition_value currency is_active max_hours_before \
     min_hours_before policy_id refund_percentage scheduled_at service_id title total_price",
    // PostgreSQL's, and columns of theirs.
    "address_hash block_size bookings completed_at conenforced d dblink e email_address information_schema m mail n name p pg_catalog pg_class pg_proc \
     pg_rewrite r role security_invoker server_encoding server_version server_version_num session_replication_role start_at \
     services start_time text users uuid v",
    "advisory array base64 bigint boolean c day f hex hour insufficient_privilege integer milliseconds minute none null number numeric object off on public serializable transaction_isolation \
      smallint restrict_violation status true",
    // Kinds of objects that `migrate` and `uninstall` name, their ledger, and units of their progress.
    "active function index table trigger view blocks created rows uninstalled _channels_check",
];

fn names_of<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| name(*one)).collect()
}

/// The names that a column has; `None`: a column without an enum.
fn names_in(column: &str) -> Option<Vec<&'static str>> {
    Some(match column {
        "event_type" => names_of(EventType::ALL, EventType::as_str),
        "channel" => names_of(Channel::ALL, Channel::as_str),
        "reason" => names_of(Reason::ALL, Reason::as_str),
        "on_event" => names_of(NoticeEvent::ALL, NoticeEvent::as_str),
        "audience" => vec!["customer", "provider"],
        "applies_to" => names_of(Case::ALL, Case::as_str),
        // Of a booking or of an event.
        "status" | "new_status" | "old_status" => [
            names_of(Status::ALL, Status::as_str),
            names_of(EventStatus::ALL, EventStatus::as_str),
        ]
        .concat(),
        _ => return None,
    })
}

/// All names that may stand elsewhere.
fn all_names() -> Vec<&'static str> {
    let columns = [
        "event_type",
        "channel",
        "reason",
        "audience",
        "on_event",
        "applies_to",
        "status",
    ];
    let mut names: Vec<_> = columns
        .iter()
        .filter_map(|column| names_in(column))
        .flatten()
        .collect();
    names.extend(names_of(Role::ALL, Role::as_str));
    names.extend(names_of(KindName::ALL, KindName::as_str));
    names.extend(
        OTHER_WORDS
            .iter()
            .flat_map(|words| words.split_whitespace()),
    );
    names
}

/// Lower-case words in quotes, each with the column that it is compared with, if it stands right behind one.
fn literals(sql: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap())
        .collect();
    let sql = lines.join("\n");
    let mut found = Vec::new();
    let mut column = String::new();
    let mut rest = &sql[..];
    while let Some((before, after)) = rest.split_once('\'') {
        let Some((literal, behind)) = after.split_once('\'') else {
            break;
        };
        let before = before.trim_end();
        if before != "," {
            let compared = before
                .trim_end_matches(['(', ' '])
                .trim_end_matches("NOT IN")
                .trim_end_matches("IN");
            let compared = compared
                .trim_end_matches(['=', '<', '>', ' '])
                .trim_end_matches("IS DISTINCT FROM")
                .trim_end();
            let name: String = compared
                .chars()
                .rev()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .collect();
            column = if compared.len() < before.len() {
                name
            } else {
                String::new()
            };
        }
        let is_word = !literal.is_empty()
            && literal
                .chars()
                .all(|c| c.is_ascii_lowercase() || "_".contains(c));
        if is_word {
            found.push((column.clone(), literal.to_owned()));
        }
        rest = behind;
    }
    found
}

/// Literals that no enum has.
fn unknown_names(sql: &str) -> Vec<String> {
    let all = all_names();
    let is_relation = |name: &str| {
        name.starts_with("booking_automation_")
            || name == "reminder_rules"
            || name == "automation_runs"
    };
    let is_known = |column: &str, literal: &str| match names_in(column) {
        Some(names) => names.contains(&literal),
        None => all.contains(&literal) || is_relation(literal),
    };
    literals(sql)
        .into_iter()
        .filter(|(column, literal)| !is_known(column, literal))
        .map(|(column, literal)| format!("{column} '{literal}'"))
        .collect()
}

#[test]
fn every_name_in_the_sql_is_one_of_an_enum() {
    let mut texts = files("src", ".sql");
    texts.extend(files("migrations", ".sql"));
    texts.extend(files("schema", ".sql"));
    for (file, source) in files("src", ".rs") {
        let source = source.replace("\\\"", " ").replace("'\"'", "' '");
        let statements = source.split('"').skip(1).step_by(2).filter(|text| {
            [
                "SELECT ", "UPDATE ", "INSERT ", "DELETE ", "EXISTS (", "WHERE ",
            ]
            .iter()
            .any(|word| text.contains(word))
        });
        texts.insert(file, statements.collect::<Vec<_>>().join("\n"));
    }
    let unknown: BTreeMap<_, _> = texts
        .iter()
        .map(|(file, sql)| (file, unknown_names(sql)))
        .filter(|(_, unknown)| !unknown.is_empty())
        .collect();
    assert_eq!(unknown, BTreeMap::new());

    // A slip of the pen is found.
    assert_eq!(
        unknown_names("WHERE status = 'confirmd' -- 'nothing'"),
        ["status 'confirmd'"]
    );
    assert_eq!(
        unknown_names("e.event_type IN ('webhook', 'reminder_send')"),
        ["event_type 'reminder_send'"]
    );
    assert_eq!(unknown_names("THEN 'booked_lat'"), [" 'booked_lat'"]);
    assert_eq!(
        unknown_names("reason = 'confirmed'"),
        ["reason 'confirmed'"]
    );
}

#[test]
fn every_reason_is_used_and_has_a_sentence() {
    let sources = files("src", ".rs");
    let sql: String = [
        files("src", ".sql"),
        files("migrations", ".sql"),
        files("schema", ".sql"),
    ]
    .iter()
    .flat_map(BTreeMap::values)
    .chain(sources.values())
    .flat_map(|text| text.lines())
    .collect();
    for reason in Reason::ALL {
        let variant = format!("Reason::{reason:?}");
        let in_code = sources.iter().any(|(_, source)| source.contains(&variant));
        assert!(
            in_code || sql.contains(&format!("'{reason}'")),
            "{reason} is never used"
        );
        let sentence = reason.sentence();
        assert!(
            sentence.len() > 15 && !sentence.ends_with('.'),
            "{reason}: {sentence}"
        );
    }
}
