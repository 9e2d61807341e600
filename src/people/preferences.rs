//! What people have chosen: tables of ours. The owner's own tables are not altered.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction, finite};
use crate::messages::kind_name::KindName;
use crate::messages::languages::Language;
use crate::primitives::phone_number::PhoneNumber;

/// Members of the support API's answers about what a person has chosen, and about their devices:
/// one of each answer.
const OWN_ANSWERS: [&str; 3] = ["opt_outs", "is_new", "was_there"];

/// What a person has chosen. `None`: nothing, so the contacts view and the settings decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// A tag of a language file.
    pub(crate) language: Option<String>,
    /// An IANA name.
    pub(crate) timezone: Option<String>,
    /// From when to when, as `22:00`, in the person's time.
    pub(crate) quiet_hours: Option<[String; 2]>,
    /// The names of channels.
    pub(crate) channels: Option<Vec<String>>,
    /// Where SMS go.
    pub(crate) phone: Option<PhoneNumber>,
    /// Whether they agreed to get SMS.
    pub(crate) sms_allowed: Option<bool>,
    /// The names of the kinds of messages that they do not want.
    pub(crate) opt_outs: BTreeSet<String>,
    /// Links that are older do not work: everything about the person was erased.
    pub(crate) links_from: Option<DateTime<Utc>>,
}

impl Preferences {
    /// Whether they want this kind of message.
    pub(crate) fn wants(&self, kind: KindName) -> bool {
        !self.opt_outs.contains(kind.choice().as_str())
    }
}

/// Reads what a person has chosen.
pub(crate) async fn read_preferences(
    transaction: &Transaction,
    person: &str,
) -> Result<Preferences> {
    let sql = "SELECT p.language, p.timezone, left(p.quiet_from::text, 5) AS quiet_from,
                      left(p.quiet_until::text, 5) AS quiet_until, p.channels, p.phone,
                      p.sms_allowed, p.links_from,
                      ARRAY(SELECT o.kind FROM public.booking_automation_opt_outs o
                        WHERE o.person_id = $1) AS opt_outs
                 FROM (SELECT) AS one
                 LEFT JOIN public.booking_automation_preferences p ON p.person_id = $1";
    let row = transaction.query_one(sql, &[(&person, Type::TEXT)]).await?;
    let text = |column| row.get::<_, Option<String>>(column);
    Ok(Preferences {
        language: row.get("language"),
        timezone: row.get("timezone"),
        quiet_hours: text("quiet_from")
            .zip(text("quiet_until"))
            .map(<[String; 2]>::from),
        channels: row.get("channels"),
        phone: text("phone").and_then(|number| PhoneNumber::parse(&number).ok()),
        sms_allowed: row.get("sms_allowed"),
        opt_outs: row.get::<_, Vec<String>>("opt_outs").into_iter().collect(),
        links_from: finite(&row, "links_from"),
    })
}

/// Stores all that a person has chosen, in place of what they chose before.
pub(crate) async fn store_preferences(
    transaction: &Transaction,
    person: &str,
    preferences: &Preferences,
) -> Result<()> {
    let sql = "WITH own AS (
                   INSERT INTO public.booking_automation_preferences
                          (person_id, language, timezone, quiet_from, quiet_until, channels,
                            phone, sms_allowed)
                   VALUES ($1, $2, $3, $4::text::time, $5::text::time, $6, $8, $9)
                   ON CONFLICT (person_id) DO UPDATE
                      SET language = excluded.language, timezone = excluded.timezone,
                        quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
                        channels = excluded.channels, phone = excluded.phone,
                        sms_allowed = excluded.sms_allowed, updated_at = now()
               ), wanted AS (
                   DELETE FROM public.booking_automation_opt_outs WHERE person_id = $1
                     AND kind <> ALL ($7)
               )
               INSERT INTO public.booking_automation_opt_outs (person_id, kind)
               SELECT $1, kind FROM unnest($7::text[]) AS kind
               ON CONFLICT DO NOTHING";
    let [from, until] = match &preferences.quiet_hours {
        Some([from, until]) => [Some(from), Some(until)],
        None => [None, None],
    };
    let opt_outs: Vec<_> = preferences.opt_outs.iter().collect();
    let phone = preferences.phone.as_ref().map(PhoneNumber::as_str);
    let parameters = [
        (&person as _, Type::TEXT),
        (&preferences.language as _, Type::TEXT),
        (&preferences.timezone as _, Type::TEXT),
        (&from as _, Type::TEXT),
        (&until as _, Type::TEXT),
        (&preferences.channels as _, Type::TEXT_ARRAY),
        (&opt_outs as _, Type::TEXT_ARRAY),
        (&phone as _, Type::TEXT),
        (&preferences.sms_allowed as _, Type::BOOL),
    ];
    transaction.execute(sql, &parameters).await?;
    Ok(())
}

/// Stores which kinds of messages a person wants, and which not. Of other kinds it says nothing.
pub(crate) async fn set_opt_outs(
    transaction: &Transaction,
    person: &str,
    wanted: &[KindName],
    unwanted: &[KindName],
) -> Result<()> {
    let sql = "WITH wanted AS (
                   DELETE FROM public.booking_automation_opt_outs WHERE person_id = $1
                     AND kind = ANY ($2)
               )
               INSERT INTO public.booking_automation_opt_outs (person_id, kind)
               SELECT $1, kind FROM unnest($3::text[]) AS kind
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
    let sql = "INSERT INTO public.booking_automation_preferences AS p (person_id, language)
               VALUES ($1, $2)
               ON CONFLICT (person_id) DO UPDATE SET language = excluded.language,
                 updated_at = now()
                WHERE p.language IS DISTINCT FROM excluded.language";
    let parameters = [
        (&person as _, Type::TEXT),
        (&language.tag() as _, Type::TEXT),
    ];
    transaction.execute(sql, &parameters).await?;
    Ok(())
}

/// Erases what a person has chosen and their devices, and revokes the links in their messages. What
/// stays is when that was, by which the links are known. Returns how many choices and devices there
/// were.
pub(crate) async fn forget_choices(transaction: &Transaction, person: &str) -> Result<i64> {
    let sql = "WITH before AS MATERIALIZED (
                   SELECT num_nonnulls(language, timezone, quiet_from, channels, phone, sms_allowed)
                     AS choices
                     FROM public.booking_automation_preferences WHERE person_id = $1
               ), opt_outs AS (
                   DELETE FROM public.booking_automation_opt_outs WHERE person_id = $1 RETURNING 1
               ), devices AS (
                   DELETE FROM public.booking_automation_push_tokens WHERE person_id = $1
                   RETURNING 1
               ), attendance AS (
                   DELETE FROM public.booking_automation_attendance WHERE person_id = $1
               ), answers AS (
                   -- The answers for repeated requests.
                   DELETE FROM public.booking_automation_requests
                    WHERE answer ?| $2 AND answer ->> 'person_id' = $1
               ), own AS (
                   INSERT INTO public.booking_automation_preferences (person_id, links_from)
                     VALUES ($1, clock_timestamp())
                   ON CONFLICT (person_id) DO UPDATE
                      SET language = NULL, timezone = NULL, quiet_from = NULL, quiet_until = NULL,
                        channels = NULL, phone = NULL, sms_allowed = NULL,
                        links_from = excluded.links_from, updated_at = now()
               )
               SELECT coalesce((SELECT choices FROM before), 0) + (SELECT count(*) FROM opt_outs)
                      + (SELECT count(*) FROM devices) AS choices";
    let parameters = [
        (&person as _, Type::TEXT),
        (&&OWN_ANSWERS[..] as _, Type::TEXT_ARRAY),
    ];
    let row = transaction.query_one(sql, &parameters).await?;
    Ok(row.get("choices"))
}
