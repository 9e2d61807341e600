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
    // Who may say who changes a booking, and the time that triggers record.
    "booking_automation_is_trusted",
    "booking_automation_now",
    // Of migrations.
    "booking_automation_grant_to_passes",
    // Of the index on the end of bookings in progress.
    "booking_automation_end",
    "booking_end",
    // Shared by statements.
    "booking_automation_is_due",
    "booking_automation_latest_revision",
    "booking_automation_live_from",
    "booking_automation_moved_on",
    "booking_automation_next_channel",
    "booking_automation_notice_event",
    "booking_automation_lost_attempt",
    "booking_automation_quiet_period",
    "booking_automation_settled_attempt",
    "booking_automation_settled_by",
    "booking_automation_shares_channel",
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
    "booking_automation_digests_begin_anew",
    "booking_automation_keep_erasure",
    "booking_automation_keep_event",
    "booking_automation_keep_table",
    "booking_automation_notices_begin_anew",
    "booking_automation_queue_notices",
    "booking_automation_tell_of_events",
    "booking_automation_webhooks_begin_anew",
    "booking_automation_effective_from",
];

const RECORD: &str = "
    WITH present AS (
        SELECT EXISTS (SELECT FROM pg_proc WHERE proname = $1
          AND pronamespace = 'public'::regnamespace) AS is_present
    )
    INSERT INTO public.booking_automation_functions AS f (name, version, digest)
    SELECT $1, $2, $3 FROM present WHERE NOT (is_present AND $4)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, digest = excluded.digest,
      applied_at = now()
     WHERE f.version <= excluded.version AND f.digest <> excluded.digest
        OR NOT (SELECT is_present FROM present)";

/// Lets the roles of passes call new functions, where default privileges do not. Before the step
/// that creates the runs' table there is no such role.
const GRANT: &str = "
    SELECT public.booking_automation_grant_to_passes(
        format('EXECUTE ON FUNCTION %s', p.oid::regprocedure))
      FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($1)
       AND p.prorettype <> 'trigger'::regtype
       AND p.proname <> 'booking_automation_grant_to_passes'
       AND to_regclass('public.automation_runs') IS NOT NULL
       AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                        WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')";

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
        name text PRIMARY KEY, version integer NOT NULL, digest text NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now())";
    let exists = "SELECT to_regclass('public.booking_automation_functions') IS NOT NULL AS found";
    if !transaction
        .query_one(exists, &[])
        .await?
        .get::<_, bool>("found")
    {
        transaction.batch(create).await?;
        let make_private = "SELECT public.booking_automation_make_private(
                                   'public.booking_automation_functions'::regclass)";
        transaction.batch(make_private).await?;
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
    if !applied.is_empty() {
        transaction
            .execute(GRANT, &[(&applied as _, Type::TEXT_ARRAY)])
            .await?;
    }
    Ok(applied)
}
