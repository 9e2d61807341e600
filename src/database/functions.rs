//! The functions in the database. Their texts are in `schema/functions/`, one file each, so that
//! the current version is in one place. `migrate` applies a text again when it has changed; an
//! older `migrate` never replaces a newer text.

use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// The version of all texts together: it decides which `migrate` is newer. The first change of a
/// text after a release increases it; a test compares it with the digest of the texts.
pub const VERSION: i32 = 2;

macro_rules! functions {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../schema/functions/", $name, ".sql")))),+]
    };
}

/// Each function's name and its text, which also sets its privileges.
pub const FUNCTIONS: &[(&str, &str)] = functions![
    // The time that triggers record.
    "booking_automation_now",
    // Shared by statements: see `inlined`.
    "booking_automation_is_due",
    "booking_automation_lost_attempt",
    "booking_automation_settled_attempt",
    "booking_automation_settled_by",
    "booking_automation_supersedes",
    "booking_automation_with_attempt",
    "booking_automation_address_hash",
    "booking_automation_has_flag",
    "booking_automation_rfc3339",
    // Triggers on `bookings`.
    "booking_automation_on_insert",
    "booking_automation_on_move",
    "booking_automation_on_update",
    "booking_automation_tell_of_moves",
    // Triggers on our own tables.
    "booking_automation_keep_erasure",
    "booking_automation_keep_event",
    "booking_automation_keep_table",
    "booking_automation_tell_of_events",
    "booking_automation_webhooks_begin_anew",
    "reminder_rules_effective_from",
];

const RECORD: &str = "
    WITH present AS (
        SELECT EXISTS (SELECT FROM pg_proc WHERE proname = $1 AND pronamespace = 'public'::regnamespace) AS is_present
    )
    INSERT INTO public.booking_automation_functions AS f (name, version, digest)
    SELECT $1, $2, $3 FROM present WHERE NOT (is_present AND $4)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, digest = excluded.digest, applied_at = now()
     WHERE f.version <= excluded.version AND f.digest <> excluded.digest
        OR NOT (SELECT is_present FROM present)";

/// Creates the functions that do not exist, so that a step can create a trigger that calls one.
/// Returns their names.
pub(crate) async fn create_missing(transaction: &Transaction) -> Result<Vec<&'static str>> {
    apply(transaction, true).await
}

/// Applies the functions whose text has changed since a `migrate` of this or an older version
/// applied it, and those that were dropped. Returns their names.
pub(crate) async fn apply_changed(transaction: &Transaction) -> Result<Vec<&'static str>> {
    apply(transaction, false).await
}

async fn apply(transaction: &Transaction, only_missing: bool) -> Result<Vec<&'static str>> {
    let create = "CREATE TABLE IF NOT EXISTS public.booking_automation_functions (
        name text PRIMARY KEY, version integer NOT NULL, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    let exists = "SELECT to_regclass('public.booking_automation_functions') IS NOT NULL AS found";
    if !transaction
        .query_one(exists, &[])
        .await?
        .get::<_, bool>("found")
    {
        transaction.batch(create).await?;
        transaction
            .batch("SELECT public.booking_automation_make_private('public.booking_automation_functions'::regclass)")
            .await?;
    }
    let mut applied = Vec::new();
    for (name, text) in FUNCTIONS {
        let digest: String = Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let parameters = [
            (name as _, Type::TEXT),
            (&VERSION as _, Type::INT4),
            (&digest as _, Type::TEXT),
            (&only_missing as _, Type::BOOL),
        ];
        if transaction.execute(RECORD, &parameters).await? == 1 {
            // A missing function is created before the step that creates the tables of its body.
            transaction
                .batch(&format!("SET LOCAL check_function_bodies = off; {text}"))
                .await?;
            applied.push(*name);
        }
    }
    Ok(applied)
}

/// Replaces the calls of shared functions in a statement by their bodies.
///
/// The statement then also runs on the previous release's schema, which does not have these
/// functions yet. The next release may call them, and can drop `inlined`.
pub fn inlined(sql: &str) -> String {
    let mut sql = sql.to_owned();
    while let Some((start, function)) = first_call(&sql) {
        let arguments_start = start + "public.".len() + function.name.len() + 1;
        let arguments = up_to_closing_parenthesis(&sql[arguments_start..]);
        let end = arguments_start + arguments.len() + 1;
        sql.replace_range(
            start..end,
            &function.expand_call(&split_arguments(arguments)),
        );
    }
    sql
}

/// A function whose calls can be replaced.
struct SharedFunction {
    name: &'static str,
    parameters: Vec<&'static str>,
    body: &'static str,
}

fn first_call(sql: &str) -> Option<(usize, SharedFunction)> {
    let calls = FUNCTIONS.iter().filter_map(|(name, text)| {
        let start = sql.find(&format!("public.{name}("))?;
        Some((start, SharedFunction::parse(name, text)?))
    });
    calls.min_by_key(|(start, _)| *start)
}

impl SharedFunction {
    /// `None`: the function is not shared. The previous release has it already, or it is not an
    /// expression.
    fn parse(name: &'static str, text: &'static str) -> Option<Self> {
        const SHARED: [&str; 6] = [
            "is_due",
            "lost_attempt",
            "settled_attempt",
            "settled_by",
            "supersedes",
            "with_attempt",
        ];
        SHARED
            .contains(&name.strip_prefix("booking_automation_")?)
            .then_some(())?;
        let (_, signature) = text.split_once(name)?;
        let (parameters, _) = signature.strip_prefix('(')?.split_once(')')?;
        let parameters = parameters
            .split(',')
            .filter_map(|parameter| parameter.split_whitespace().next())
            .collect();
        let body = text
            .split("$$")
            .nth(1)?
            .trim()
            .strip_prefix("SELECT")?
            .trim();
        Some(Self {
            name,
            parameters,
            body,
        })
    }

    fn expand_call(&self, arguments: &[&str]) -> String {
        let mut expanded = String::new();
        // Every second part is inside quotes.
        for (index, part) in self
            .body
            .replace(&format!("{}.", self.name), "")
            .split('\'')
            .enumerate()
        {
            if index % 2 == 1 {
                expanded += &format!("'{part}'");
            } else {
                expanded += &self.fill_in(part, arguments);
            }
        }
        let is_query = self.body.contains(" FROM ");
        if is_query {
            format!("(SELECT {expanded})")
        } else {
            format!("({expanded})")
        }
    }

    /// Replaces the parameters in a text without quotes, but not columns of the same name.
    fn fill_in(&self, text: &str, arguments: &[&str]) -> String {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (mut filled, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(is_part) {
            let word_length = rest[start..]
                .find(|c| !is_part(c))
                .unwrap_or(rest.len() - start);
            let (before, word) = (&rest[..start], &rest[start..start + word_length]);
            filled += before;
            let parameter = self
                .parameters
                .iter()
                .position(|parameter| *parameter == word);
            match parameter.filter(|_| !filled.ends_with('.')) {
                Some(index) => filled += arguments[index],
                None => filled += word,
            }
            rest = &rest[start + word_length..];
        }
        filled + rest
    }
}

/// The text up to the matching closing bracket.
fn up_to_closing_parenthesis(text: &str) -> &str {
    let (mut depth, mut quoted) = (1, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

fn split_arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut quoted, mut start) = (Vec::new(), 0, false, 0);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::inlined;

    #[test]
    fn a_call_becomes_the_functions_body() {
        assert_eq!(
            inlined(
                "WHERE public.booking_automation_supersedes(n.scheduled_at, n.rule, (SELECT f(1, 2)), ',') AND x"
            ),
            "WHERE ((n.scheduled_at, n.rule) > ((SELECT f(1, 2)), ',')) AND x"
        );
        assert_eq!(
            inlined("public.booking_automation_settled_by(e.id) AS settled_by"),
            "(SELECT (array_agg(f.message_id ORDER BY f.id))[1] FROM public.booking_automation_feedback f \
             WHERE f.event_id = e.id) AS settled_by"
        );
        assert_eq!(
            inlined(
                "public.booking_automation_with_attempt(d, public.booking_automation_lost_attempt(e.attempts))"
            ),
            "(jsonb_set(coalesce(d, '{}'), '{attempts}', coalesce(d -> 'attempts', '[]') || \
             (jsonb_build_object('attempt', e.attempts, 'outcome', 'unknown', 'error', 'the lease ran out'))))"
        );
    }

    #[test]
    fn a_statement_without_calls_stays_as_it_is() {
        let sql = "SELECT public.booking_automation_now() -- see booking_automation_is_due";
        assert_eq!(inlined(sql), sql);
    }
}
