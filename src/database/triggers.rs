//! The triggers. Their texts are in `schema/triggers/`, one file each; `migrate` creates those that
//! are missing.
//!
//! The functions that they call run inside other programs' statements. So they are set-based, never
//! wait for our locks, and are SECURITY DEFINER with a fixed `search_path`, since the writer has no
//! privileges on our tables.

use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

macro_rules! triggers {
    ($($table:literal: $($name:literal),+;)+) => {
        &[$($(($name, $table, include_str!(concat!("../../schema/triggers/", $name, ".sql")))),+),+]
    };
}

/// Each trigger's name, its table, and its text. Those on `bookings` come first: other programs
/// lock `bookings` and then, by our triggers, our tables. The other order could deadlock with them.
pub(crate) const TRIGGERS: &[(&str, &str, &str)] = triggers![
    "public.bookings":
        "booking_automation_on_update",
        "booking_automation_on_insert",
        "booking_automation_tell_of_moves",
        "zzz_booking_automation_on_move";
    "public.reminder_rules":
        "booking_automation_effective_from";
    "public.booking_automation_events":
        "booking_automation_keep_deleted",
        "booking_automation_keep_updated",
        "booking_automation_keep_keys",
        "booking_automation_keep_all",
        "booking_automation_queue_notices",
        "booking_automation_tell_of_new_events",
        "booking_automation_tell_of_sent_reminders";
    "public.booking_automation_erasures":
        "booking_automation_keep_erasure",
        "booking_automation_keep_erasures";
    "public.booking_automation_webhooks":
        "booking_automation_webhooks_begin_anew";
    "public.booking_automation_notice_rules":
        "booking_automation_notices_begin_anew";
    "public.booking_automation_digest_rules":
        "booking_automation_digests_begin_anew";
];

/// The trigger that keeps the flags of a moved booking: only where there is such a flag.
const OF_FLAGS: &str = "zzz_booking_automation_on_move";

/// Creates the triggers that are missing. Returns their names.
pub(crate) async fn create_missing(transaction: &Transaction) -> Result<Vec<&'static str>> {
    let missing = "SELECT name FROM unnest($1, $2) AS wanted (name, relation)
                    WHERE NOT EXISTS (SELECT FROM pg_trigger t
                                       WHERE t.tgrelid = to_regclass(wanted.relation)
                                         AND t.tgname = wanted.name)
                      AND (name <> $3 OR EXISTS (
                           SELECT FROM pg_attribute a
                            WHERE a.attrelid = to_regclass(wanted.relation) AND NOT a.attisdropped
                              AND a.attname IN ('reminder_24h_sent', 'reminder_1h_sent',
                              'reminder_15m_sent')))";
    let names: Vec<_> = TRIGGERS.iter().map(|(name, ..)| *name).collect();
    let tables: Vec<_> = TRIGGERS.iter().map(|(_, table, _)| *table).collect();
    let parameters = [
        (&names as _, Type::TEXT_ARRAY),
        (&tables as _, Type::TEXT_ARRAY),
        (&OF_FLAGS as _, Type::TEXT),
    ];
    let rows = transaction.query(missing, &parameters).await?;
    let missing: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
    let mut created = Vec::new();
    for (name, _, text) in TRIGGERS {
        if missing.iter().any(|missing| missing == name) {
            transaction.batch(text).await?;
            created.push(*name);
        }
    }
    Ok(created)
}
