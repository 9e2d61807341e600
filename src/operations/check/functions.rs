//! The user's functions in `public` that have a name of ours: `migrate` would replace them, or they
//! would be called in place of ours.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::functions::FUNCTIONS;
use crate::database::schema::step_text;
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// SQL of a boolean: an owner may own what passes use.
pub(crate) fn is_trusted_sql(owner: &str) -> String {
    include_str!("is_trusted.sql").replace("{owner}", owner)
}

/// The step that creates the first functions.
const FIRST_STEP: &str = "05_own_tables";
/// The record of an `uninstall` that kept the trail, or did not end.
const UNINSTALLED: &str = "uninstalled";
/// A function that it creates itself, once.
const OF_FIRST_STEP: &str = "booking_automation_make_private";
/// Their bodies decide when bookings end.
const DECIDE_THE_END: [&str; 2] = ["booking_automation_end", "booking_end"];

/// What tells a function of ours.
struct Signature {
    name: &'static str,
    arguments: String,
    returns: &'static str,
    language: &'static str,
}

impl Signature {
    /// Reads it from the text that creates the function.
    fn parse(name: &'static str, text: &'static str) -> Option<Self> {
        let start = text
            .match_indices("REPLACE FUNCTION ")
            .map(|(at, found)| &text[at + found.len()..])
            .find(|rest| {
                rest.trim_start_matches("public.")
                    .starts_with(&format!("{name}("))
            })?;
        let (_, start) = start.split_once('(')?;
        let (arguments, rest) = start.split_once(')')?;
        let types = arguments
            .split(',')
            .filter_map(|argument| argument.trim().split_once(' '))
            .map(|(_, type_name)| type_name.trim());
        let word_after = |word: &str| rest.split_once(word)?.1.split_whitespace().next();
        Some(Self {
            name,
            arguments: types.collect::<Vec<_>>().join(","),
            returns: word_after("RETURNS ")?,
            language: word_after("LANGUAGE ")?,
        })
    }
}

fn signatures() -> Vec<Signature> {
    let of_first_step = (OF_FIRST_STEP, step_text(FIRST_STEP));
    FUNCTIONS
        .iter()
        .copied()
        .chain([of_first_step])
        .filter_map(|(name, text)| Signature::parse(name, text))
        .collect()
}

/// Finds them. `steps` are those that were applied.
pub(crate) async fn look(
    transaction: &Transaction,
    steps: &BTreeSet<String>,
) -> Result<Vec<Finding>> {
    let ours = signatures();
    let list = |part: fn(&Signature) -> &str| ours.iter().map(part).collect::<Vec<_>>();
    let lists = [
        list(|one| one.name),
        list(|one| &one.arguments),
        list(|one| one.returns),
        list(|one| one.language),
    ];
    let parameters = lists.each_ref().map(|list| (list as _, Type::TEXT_ARRAY));
    let sql = include_str!("functions.sql").replace("{is_trusted}", &is_trusted_sql("p.proowner"));
    let rows = transaction.query(&sql, &parameters).await?;
    // After the first step, one with our name and signature is an older one of ours.
    let is_migrated = [FIRST_STEP, UNINSTALLED]
        .iter()
        .any(|step| steps.contains(*step));
    let foreign = |row: &Row| {
        let name: &str = row.get("name");
        let has_our_body = row.get("has_our_end") || !DECIDE_THE_END.contains(&name);
        !(is_migrated && row.get("has_our_signature") && has_our_body)
    };
    let is_ours = |row: &&Row| !foreign(row);
    let of_strangers = rows.iter().filter(|row| !row.get::<_, bool>("is_trusted"));
    let of_strangers = of_strangers.filter(is_ours).map(of_stranger);
    Ok(rows
        .iter()
        .filter(|row| foreign(row))
        .map(|row| {
            let (name, arguments): (&str, &str) = (row.get("name"), row.get("arguments"));
            Finding::error(
                Topic::Names,
                format!("the function public.{name}({arguments}) exists and is not this program's"),
                format!(
                    "the program needs this name; run: ALTER FUNCTION public.{name}({arguments}) \
                     RENAME TO …;"
                ),
            )
        })
        .chain(of_strangers)
        .collect())
}

/// `migrate` would replace the text, and leave the function to its owner.
fn of_stranger(row: &Row) -> Finding {
    let (name, arguments): (&str, &str) = (row.get("name"), row.get("arguments"));
    let (function, owner) = (
        format!("public.{name}({arguments})"),
        row.get::<_, &str>("owner"),
    );
    Finding::error(
        Topic::Names,
        format!(
            "the function {function} belongs to {owner}, who may not change bookings otherwise: \
             what it does would be done by the role of the passes"
        ),
        format!(
            "drop it, and run migrate; or, if that role once ran migrate for you, run: ALTER \
             FUNCTION {function} OWNER TO the owner of bookings;"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, signatures};

    #[test]
    fn every_functions_signature_is_read_from_its_text() {
        let signatures = signatures();
        assert_eq!(signatures.len(), FUNCTIONS.len() + 1);
        let of = |name: &str| {
            let one = signatures.iter().find(|one| one.name == name);
            one.map(|one| (&one.arguments[..], one.returns, one.language))
        };
        assert_eq!(
            of("booking_end"),
            Some(("timestamptz,bigint", "timestamptz", "sql"))
        );
        assert_eq!(
            of("booking_automation_on_move"),
            Some(("", "trigger", "plpgsql"))
        );
    }
}
