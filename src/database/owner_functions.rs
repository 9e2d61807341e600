//! Two functions beside the view of the contacts, which the owner may replace:
//! `booking_automation_is_live(bookings)` and `booking_automation_amount_paid(bookings)`.
//!
//! `migrate` derives a default of each from the columns that the database has, and derives it anew
//! when these change. A function that the owner has replaced stays as it is: the table of functions
//! has a digest of what `migrate` created last.
//!
//! The bodies are `RETURN …`: what they name is bound when they are created, whatever the path of
//! the session that calls them, and the planner inlines one that reads nothing but its booking. One
//! that reads other tables does so as its owner, so that the role of the passes needs no rights on
//! them.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

pub(crate) use crate::database::owner_defaults::{AMOUNT_PAID, IS_LIVE};
use crate::database::owner_defaults::{Columns, Derived};
use crate::database::{Result, Transaction};

/// SQL of the oid of the function that takes a booking, by its name; NULL: there is none.
pub(crate) fn function_oid_sql(name: &str) -> String {
    format!(
        "(SELECT p.oid FROM pg_proc p
           WHERE p.pronamespace = 'public'::regnamespace AND p.proname = '{name}' AND p.pronargs = 1
             AND p.proargtypes[0] = (SELECT c.reltype FROM pg_class c
             WHERE c.oid = to_regclass('public.bookings')))"
    )
}

/// SQL of a boolean: the database can tell which bookings are live, and has the queue of notices,
/// the rules of digests, what people have chosen, and channels. Before the last step of 0.3.0,
/// which creates this table, it cannot: 0.2.0 is beside it.
pub(crate) const IS_KNOWN: &str =
    "to_regclass('public.booking_automation_sms_replies') IS NOT NULL";

/// The query of the function `booking_automation_latest_revision`.
static LATEST_REVISION: LazyLock<&str> = LazyLock::new(|| {
    let function = include_str!("../../schema/functions/booking_automation_latest_revision.sql");
    let body = function.split_once(" ELSE ").map(|(_, rest)| rest);
    let query = body.and_then(|body| body.split_once(" END\n"));
    query.map(|(query, _)| query).unwrap_or_default()
});

/// Reads [`IS_KNOWN`].
pub(crate) async fn is_known(transaction: &Transaction) -> Result<bool> {
    let sql = format!("SELECT {IS_KNOWN} AS is_known");
    Ok(transaction.query_one(&sql, &[]).await?.get("is_known"))
}

/// Whether the database can tell which bookings are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// By its function.
    Known,
    /// By its function, which fails for some booking: it is asked for each booking alone.
    Singly,
    /// `migrate` has not created the function yet: all are.
    Unknown,
}

impl Liveness {
    /// From the value of [`IS_KNOWN`].
    pub(crate) fn of(is_known: bool) -> Self {
        match is_known {
            true => Self::Known,
            false => Self::Unknown,
        }
    }

    /// SQL of a boolean: the booking `b`, a row of `bookings`, is live.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            // `b` alone would be a column of this name.
            Self::Known => "public.booking_automation_is_live(b.*) IS TRUE",
            Self::Singly | Self::Unknown => "true",
        }
    }

    /// SQL of the schedule revision of the booking with this id that has no row in
    /// `booking_automation_state`.
    pub(crate) fn latest_revision(self, booking_id: &str) -> String {
        match self {
            Self::Known | Self::Singly => LATEST_REVISION.replace("$1", booking_id),
            Self::Unknown => "0".to_owned(),
        }
    }
}

/// Creates the defaults that are missing, and those that `migrate` created from other columns.
/// Returns their names.
pub(crate) async fn derive(transaction: &Transaction) -> Result<Vec<&'static str>> {
    let columns = Columns::read(transaction).await?;
    let mut derived = Vec::new();
    for default in columns.derived() {
        if derive_one(transaction, &default).await? {
            derived.push(default.name);
        }
    }
    Ok(derived)
}

async fn derive_one(transaction: &Transaction, default: &Derived) -> Result<bool> {
    let (name, text) = (default.name, &default.create());
    match State::read(transaction, name).await? {
        State::Replaced => return Ok(false),
        State::Default if default.is_current(transaction).await? => return Ok(false),
        State::Default => {
            // Its result may have another type.
            let drop = format!("DROP FUNCTION public.{name}(public.bookings)");
            transaction.batch(&drop).await?;
        }
        State::Missing => {}
    }
    transaction.batch(text).await?;
    let parameters = [(&name as _, Type::TEXT), (text as _, Type::TEXT)];
    // It may read other tables as its owner.
    let grant = format!(
        "REVOKE EXECUTE ON FUNCTION public.{name}(public.bookings) FROM PUBLIC;
         SELECT public.booking_automation_grant_to_passes(
                    'EXECUTE ON FUNCTION public.{name}(public.bookings)')"
    );
    transaction.batch(&grant).await?;
    // Digests of the text, and of what the server made of it.
    let record = format!(
        "INSERT INTO public.booking_automation_functions (name, version, digest)
         SELECT $1, 0, concat_ws(' ', md5($2), {DIGEST}) FROM pg_proc p WHERE p.oid = {oid}
         ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, applied_at = now()",
        oid = function_oid_sql(name)
    );
    transaction.execute(&record, &parameters).await?;
    Ok(true)
}

/// A digest of the function `p`, whatever the names of its table and its columns.
const DIGEST: &str = "md5(concat_ws(' ', p.prosrc, pg_get_function_sqlbody(p.oid), p.prorettype, \
    p.prosecdef, p.procost))";

/// SQL of a boolean: the function `p` is as `migrate` created it; NULL: this role may not know.
pub(crate) async fn is_default_sql(transaction: &Transaction) -> Result<String> {
    let may_read = "SELECT has_table_privilege(to_regclass('public.booking_automation_functions'), \
        'SELECT') AS may_read";
    let row = transaction.query_one(may_read, &[]).await?;
    Ok(match row.get("may_read") {
        Some(true) => format!(
            "EXISTS (SELECT FROM public.booking_automation_functions f
                      WHERE f.name = p.proname AND split_part(f.digest, ' ', 2) = {DIGEST})"
        ),
        Some(false) => "NULL::boolean".to_owned(),
        // There is no record.
        None => "false".to_owned(),
    })
}

/// What became of one of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Missing,
    /// It is as `migrate` created it.
    Default,
    /// It is the owner's.
    Replaced,
}

impl State {
    pub(crate) async fn read(transaction: &Transaction, name: &str) -> Result<Self> {
        let is_default = is_default_sql(transaction).await?;
        let oid = function_oid_sql(name);
        let sql = format!("SELECT {is_default} AS is_default FROM pg_proc p WHERE p.oid = {oid}");
        let rows = transaction.query(&sql, &[]).await?;
        Ok(match rows.first().map(|row| row.get("is_default")) {
            None => Self::Missing,
            Some(Some(true)) => Self::Default,
            Some(Some(false) | None) => Self::Replaced,
        })
    }
}
