//! Every statement that the program can send, prepared against a migrated database: a typo in a name fails here in seconds, before
//! any other test meets the statement.

use std::collections::BTreeMap;
use std::path::Path;

use booking_automation::entry::statements::{composed, with_their_settings};
use tokio_postgres::types::Type;

use crate::app::App;

const VERBS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE"];

/// Statements in which PostgreSQL cannot tell the type of a parameter by itself, by a part of their
/// text, with the types that the program sends.
fn types_of(sql: &str) -> Vec<Type> {
    let moments = vec![Type::TIMESTAMPTZ; 3];
    let candidates = [moments.clone(), vec![Type::INT8]].concat();
    let decisions = vec![
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::UUID_ARRAY,
        Type::INT8,
        Type::TEXT,
    ];
    let uuids_and_texts = vec![Type::UUID_ARRAY, Type::TEXT_ARRAY];
    let groups = [
        vec![Type::UUID_ARRAY; 3],
        vec![Type::TIMESTAMPTZ_ARRAY, Type::INT4_ARRAY],
        vec![Type::TEXT_ARRAY; 3],
        vec![Type::TEXT, Type::TIMESTAMPTZ],
    ];
    let known: [(&str, Vec<Type>); 17] = [
        (
            "The reminders that a pass has enqueued",
            vec![Type::TIMESTAMPTZ, Type::INT8],
        ),
        ("Puts reminders into the mail of another", groups.concat()),
        (
            "One automatic step: changes the status",
            vec![Type::TIMESTAMPTZ, Type::TEXT, Type::TEXT],
        ),
        (
            "The bookings that are due for one automatic step",
            [candidates.clone(), vec![Type::UUID_ARRAY, Type::TEXT]].concat(),
        ),
        (
            "Locks the messages of a page",
            vec![Type::TEXT, Type::INT8, Type::FLOAT8, Type::FLOAT8],
        ),
        (
            "Claims a page of the outbox",
            [
                vec![Type::TEXT],
                vec![Type::FLOAT8; 4],
                vec![Type::TIMESTAMPTZ, Type::INT4],
                uuids_and_texts.clone(),
            ]
            .concat(),
        ),
        (
            "After the database's clock was set back",
            [vec![Type::FLOAT8; 5], vec![Type::FLOAT8_ARRAY]].concat(),
        ),
        (
            "Which audiences of the confirmed bookings of a time",
            moments[..2].to_vec(),
        ),
        (
            "unnest($1, $2) AS wanted",
            vec![Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT],
        ),
        ("LIMIT $4 FOR NO KEY UPDATE OF b SKIP LOCKED", candidates),
        (
            "SELECT p.at AS pass, d.name AS rule",
            [moments, vec![Type::UUID_ARRAY], uuids_and_texts].concat(),
        ),
        ("that became due, with its decision", decisions),
        (
            "A page of the audit trail",
            [
                vec![Type::INT8; 3],
                vec![Type::UUID, Type::TEXT, Type::TEXT],
                vec![Type::TIMESTAMPTZ; 2],
            ]
            .concat(),
        ),
        (
            "Records that the database refused a step",
            [
                vec![Type::UUID_ARRAY],
                vec![Type::TEXT; 3],
                vec![Type::TIMESTAMPTZ, Type::TEXT_ARRAY, Type::BOOL],
            ]
            .concat(),
        ),
        ("set_config('booking_automation.actor'", vec![Type::TEXT; 3]),
        (
            "jsonb_build_object('flag_error', $2)",
            vec![Type::UUID, Type::TEXT],
        ),
        (
            "The bookings that this run changed",
            vec![
                Type::TIMESTAMPTZ,
                Type::TIMESTAMPTZ,
                Type::TIMESTAMPTZ,
                Type::TEXT,
            ],
        ),
    ];
    let found = known.into_iter().find(|(part, _)| sql.contains(part));
    found.map(|(_, types)| types).unwrap_or_default()
}

/// The text without its leading comments.
fn bare(sql: &str) -> &str {
    let mut sql = sql.trim_start();
    while let Some(rest) = sql.strip_prefix("--") {
        sql = rest
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    sql
}

fn is_statement(sql: &str) -> bool {
    VERBS.iter().any(|verb| {
        bare(sql)
            .strip_prefix(verb)
            .is_some_and(|rest| rest.starts_with([' ', '\n']))
    })
}

/// The string literals of a Rust source, line continuations joined.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<_> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code
        .join("\n")
        .split("\\\n")
        .enumerate()
        .map(|(index, line)| if index == 0 { line } else { line.trim_start() })
        .collect::<String>()
        .replace("\\\"", "\u{1}")
        .replace("'\"'", "' '");
    code.split('"')
        .skip(1)
        .step_by(2)
        .map(|text| text.replace('\u{1}', "\""))
        .collect()
}

/// The statements that stand in the sources as they are sent: files beside the modules, and literals.
fn written_out(folder: &Path, found: &mut BTreeMap<String, String>) {
    for path in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = path
            .strip_prefix(env!("CARGO_MANIFEST_DIR"))
            .unwrap()
            .display()
            .to_string();
        if path.is_dir() {
            written_out(&path, found);
        } else if name.ends_with(".sql") {
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        } else if name.ends_with(".rs") {
            for (index, text) in literals(&std::fs::read_to_string(&path).unwrap())
                .into_iter()
                .enumerate()
            {
                found.insert(format!("{name}, literal {index}"), text);
            }
        }
    }
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let app = App::new().await;
    // That of our statements: in it, a name without its schema is not found.
    app.db
        .batch_execute("SET search_path = pg_catalog, pg_temp")
        .await
        .unwrap();
    let mut statements = BTreeMap::new();
    written_out(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut statements,
    );
    // A text with a hole is part of a composed one; others go on in another file.
    const PARTS: [&str; 3] = ["decisions.sql", "notices.sql", "cost_of_message.sql"];
    statements.retain(|name, sql| {
        is_statement(sql)
            && !sql.contains(['{', '}'])
            && !PARTS.iter().any(|part| name.ends_with(part))
    });
    let written = statements.len();
    statements.extend(composed());
    let mut errors = Vec::new();
    for (name, sql) in &statements {
        if let Err(error) = app.db.prepare_typed(sql, &types_of(sql)).await {
            let message = error
                .as_db_error()
                .map_or_else(|| error.to_string(), |refused| refused.message().to_owned());
            errors.push(format!("{name}: {message}"));
        }
    }
    assert!(
        written > 40 && statements.len() > written + 20,
        "{written} of {}",
        statements.len()
    );
    assert_eq!(errors, Vec::<String>::new());
}

/// What a statement finds by the `search_path`: operators, functions and types without their schema, and words of SQL that stand for
/// an operator.
fn found_by_path(sql: &str) -> Vec<String> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap());
    let text = lines.collect::<Vec<_>>().join(" ");
    // Without literals, and without what has its schema.
    let text: String = text.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some((before, after)) = text.split_once("OPERATOR(pg_catalog.") {
        text = format!("{before} AND {}", after.split_once(')').unwrap().1);
    }
    let mut text = text.replace("pg_catalog.count(*)", " ");
    // Of PL/pgSQL itself: none of it is found by a path.
    for words in [
        "<<ours>>",
        "FOR d IN",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "RAISE EXCEPTION USING ERRCODE =",
        "ours.state = RETURNED_SQLSTATE",
        "ours.message = MESSAGE_TEXT",
        "ours.hint = PG_EXCEPTION_HINT",
        "secs =>",
    ] {
        text = text.replace(words, " ");
    }
    let mut found = Vec::new();
    let words: Vec<_> = text
        .split(|c: char| !(c.is_alphanumeric() || "_.$".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    let operator_words = [
        "IN", "BETWEEN", "NULLIF", "USING", "ANY", "ALL", "SOME", "LIKE", "ILIKE", "SIMILAR",
        "DISTINCT",
    ];
    found.extend(
        words
            .iter()
            .filter(|word| operator_words.contains(word))
            .map(|word| (*word).to_owned()),
    );
    for pair in words.windows(2) {
        if pair[0] == "CASE" && pair[1] != "WHEN" {
            found.push("CASE x WHEN".to_owned());
        }
    }
    // An assignment is no operator: `SET name =`, and `, name =` in an UPDATE.
    let mut rest = &text[..];
    while let Some((before, after)) = rest.split_once(" = ") {
        let name = before.rsplit([' ', ',']).next().unwrap();
        let earlier = before[..before.len() - name.len()].trim_end();
        if !(earlier.ends_with("SET") || earlier.ends_with(',')) {
            found.push(format!("{name} ="));
        }
        rest = after;
    }
    found.extend(
        text.matches(['<', '>', '|', '+', '~', '@', '?', '%', '/'])
            .map(str::to_owned),
    );
    found.extend(text.matches(" - ").map(str::to_owned));
    for (at, _) in text.match_indices("::") {
        if !text[at + 2..].starts_with("pg_catalog.") {
            found.push(text[at..].chars().take(20).collect());
        }
    }
    for (at, _) in text.match_indices('(') {
        let before = text[..at].trim_end();
        let name = before.rsplit([' ', '(', ',']).next().unwrap();
        let is_of_sql = [
            "",
            "AS",
            "AND",
            "OR",
            "NOT",
            "WHERE",
            "THEN",
            "ELSE",
            "FROM",
            "OVER",
            "LATERAL",
            "MATERIALIZED",
            "EXISTS",
            "VALUES",
            "COALESCE",
            "JOIN",
            "SELECT",
        ];
        // `AS sent (id, …)` names columns.
        let is_alias = before[..before.len() - name.len()]
            .trim_end()
            .ends_with("AS");
        if !name.starts_with("pg_catalog.") && !is_of_sql.contains(&name) && !is_alias {
            found.push(format!("{name}("));
        }
    }
    found
}

#[test]
fn statements_with_the_settings_of_the_user_find_nothing_by_their_path() {
    let statements = with_their_settings();
    assert!(statements.len() > 25);
    for sql in statements {
        assert_eq!(found_by_path(&sql), [""; 0], "{sql}");
    }
    // A slip of the pen is found.
    for (sql, found) in [
        ("SELECT a FROM t WHERE a = $1", "a ="),
        ("UPDATE t SET a = b WHERE c = $1", "c ="),
        ("SELECT a WHERE a IN ('x')", "IN"),
        ("SELECT a IS DISTINCT FROM b", "DISTINCT"),
        ("SELECT CASE a WHEN 'x' THEN 1 END", "CASE x WHEN"),
        ("SELECT btrim(a)", "btrim("),
        ("SELECT a::text", "::text"),
        ("SELECT a || b", "|"),
        ("SELECT a - b", " - "),
        ("SELECT OPERATOR(pg_catalog.=) WHERE NULLIF(a, b)", "NULLIF"),
    ] {
        let all = found_by_path(sql);
        assert!(all.iter().any(|one| one == found), "{sql}: {all:?}");
    }
}
