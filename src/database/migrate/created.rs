//! The record of what each step of `migrate` created, in the ledger: `uninstall` never drops a
//! table or a column that was there before.
//!
//! Steps that an earlier version applied have no record (NULL).

use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// Adds the record to a ledger of an earlier version.
pub(crate) async fn ensure_record(transaction: &Transaction) -> Result<()> {
    let present = "SELECT EXISTS (SELECT FROM pg_attribute
                                   WHERE attrelid = 'public.booking_automation_migrations'::regclass
                                     AND attname = 'created' AND NOT attisdropped) AS present";
    let row = transaction.query_one(present, &[]).await?;
    if row.get::<_, bool>("present") {
        return Ok(());
    }
    let add = "ALTER TABLE public.booking_automation_migrations ADD COLUMN created text[]";
    transaction.batch(add).await
}

/// Records what is there before a step: `false` if the step was applied before.
pub(crate) async fn begin_step(transaction: &Transaction, name: &str) -> Result<bool> {
    let sql = format!(
        "INSERT INTO public.booking_automation_migrations (name, created) VALUES ($1, {PRESENT})
         ON CONFLICT DO NOTHING"
    );
    Ok(transaction.execute(&sql, &[(&name, Type::TEXT)]).await? > 0)
}

/// Keeps in the record only what the step has added.
pub(crate) async fn end_step(transaction: &Transaction, name: &str) -> Result<()> {
    let sql = format!(
        "UPDATE public.booking_automation_migrations
            SET created = ARRAY(SELECT unnest({PRESENT}) EXCEPT SELECT unnest(created) ORDER BY 1)
          WHERE name = $1"
    );
    transaction.execute(&sql, &[(&name, Type::TEXT)]).await?;
    Ok(())
}

/// The tables with a name that `migrate` uses, and the columns of `bookings` with their numbers,
/// which tell a column from a later one of the same name.
const PRESENT: &str = "ARRAY(
    SELECT concat('table ', relname) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
       AND (starts_with(relname, 'booking_automation_')
       OR relname IN ('reminder_rules', 'automation_runs'))
    UNION ALL
    SELECT concat('column ', attname, ' ', attnum) FROM pg_attribute
     WHERE attrelid = to_regclass('public.bookings') AND attnum > 0 AND NOT attisdropped)";
