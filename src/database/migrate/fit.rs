//! Whether the user's `bookings` is a table that the program can work on.

use crate::database::Database;
use crate::database::migrate::step::{MigrateError, run_step};

/// The columns that every decision needs, and the types that fit.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("status", &["text", "character varying"]),
    ("scheduled_at", &["timestamp with time zone"]),
    ("id", &["uuid"]),
];

/// Reports a clear error before a later step fails with an obscure one.
pub(crate) async fn check_bookings(database: &Database) -> Result<(), MigrateError> {
    let sql = "SELECT c.relkind::text AS kind, format_type(s.atttypid, NULL) AS status,
                      format_type(t.atttypid, NULL) AS scheduled_at, format_type(i.atttypid, NULL) AS id
                 FROM pg_class c
                 LEFT JOIN pg_attribute s ON s.attrelid = c.oid AND s.attname = 'status'
                 LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'scheduled_at'
                 LEFT JOIN pg_attribute i ON i.attrelid = c.oid AND i.attname = 'id'
                WHERE c.oid = 'public.bookings'::regclass";
    let row = run_step(database, "01_base_tables", async |transaction| {
        transaction.query_one(sql, &[]).await
    })
    .await?;
    if row.get::<_, &str>("kind") != "r" {
        return Err(MigrateError::Unfit(
            "public.bookings is not a plain table: partitioned tables and views are not supported"
                .into(),
        ));
    }
    for (column, fits) in COLUMNS {
        let found: Option<&str> = row.get(column);
        if !found.is_some_and(|found| fits.contains(&found)) {
            let found = found.unwrap_or("absent");
            return Err(MigrateError::Unfit(format!(
                "bookings.{column} is {found}: it must be {}",
                fits.join(" or ")
            )));
        }
    }
    Ok(())
}
