//! What people have chosen: tables of ours. The owner's own tables are not altered.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction, finite};
use crate::messages::kind_name::KindName;
use crate::messages::languages::Language;

/// What a person has chosen. `None`: nothing, so the contacts view and the settings decide.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preferences {
    pub(crate) language: Option<String>,
    /// The names of the kinds of messages that they do not want.
    pub(crate) opt_outs: BTreeSet<String>,
    /// Links that are older do not work: everything about the person was erased.
    pub(crate) links_from: Option<DateTime<Utc>>,
}

impl Preferences {
    /// Whether they want this kind of message.
    pub(crate) fn wants(&self, kind: KindName) -> bool {
        !self.opt_outs.contains(kind.as_str())
    }
}

/// Reads what a person has chosen.
pub(crate) async fn read_preferences(
    transaction: &Transaction,
    person: &str,
) -> Result<Preferences> {
    let sql = "SELECT p.language, p.links_from,
                      ARRAY(SELECT o.kind FROM public.booking_automation_opt_outs o WHERE o.person_id = $1) AS opt_outs
                 FROM (SELECT) AS one
                 LEFT JOIN public.booking_automation_preferences p ON p.person_id = $1";
    let row = transaction.query_one(sql, &[(&person, Type::TEXT)]).await?;
    Ok(Preferences {
        language: row.get("language"),
        opt_outs: row.get::<_, Vec<String>>("opt_outs").into_iter().collect(),
        links_from: finite(&row, "links_from"),
    })
}

/// Stores which kinds of messages a person wants, and which not. Of other kinds it says nothing.
pub(crate) async fn set_opt_outs(
    transaction: &Transaction,
    person: &str,
    wanted: &[KindName],
    unwanted: &[KindName],
) -> Result<()> {
    let sql = "WITH wanted AS (
                   DELETE FROM public.booking_automation_opt_outs WHERE person_id = $1 AND kind = ANY ($2)
               )
               INSERT INTO public.booking_automation_opt_outs (person_id, kind)
               SELECT $1, kind FROM unnest($3) AS kind
               ON CONFLICT DO NOTHING";
    let [wanted, unwanted] =
        [wanted, unwanted].map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    let parameters = [
        (&person as _, Type::TEXT),
        (&wanted as _, Type::TEXT_ARRAY),
        (&unwanted as _, Type::TEXT_ARRAY),
    ];
    transaction.execute(sql, &parameters).await?;
    Ok(())
}

/// Stores the language that a person has chosen.
pub(crate) async fn set_language(
    transaction: &Transaction,
    person: &str,
    language: &Language,
) -> Result<()> {
    let sql = "INSERT INTO public.booking_automation_preferences AS p (person_id, language) VALUES ($1, $2)
               ON CONFLICT (person_id) DO UPDATE SET language = excluded.language, updated_at = now()
                WHERE p.language IS DISTINCT FROM excluded.language";
    let parameters = [
        (&person as _, Type::TEXT),
        (&language.tag() as _, Type::TEXT),
    ];
    transaction.execute(sql, &parameters).await?;
    Ok(())
}
