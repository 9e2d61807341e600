//! Removes what `migrate` created, in steps that lock as little as those of `migrate`: the owner's
//! programs go on meanwhile.
//!
//! The first step drops the triggers on the owner's tables and empties the ledger, in one
//! transaction under the pass's lock: from then on their statements leave no trace, and a pass
//! finds no schema. Then come the indexes, without a lock that writers wait for; then, object by
//! object, the view, tables, functions, columns, and the ledger. An object that others depend on (a
//! view of the owner on our table, for example) stays and is named: nothing is dropped with
//! CASCADE.
//!
//! The catalog decides what is there, so an interrupted `uninstall` continues when it is run again,
//! and `migrate` installs again after either. Base tables, and a status CHECK that also allows
//! `expired`, stay.

mod plan;
mod view;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::database::migrate::index::drop_index;
use crate::database::migrate::step::{MigrateError, run_step};
pub use crate::database::migrate::uninstall::plan::{Kept, Object, Options, Plan, plan};
use crate::database::{Database, DatabaseError, PASS_LOCK, Transaction};

/// Drops what the plan says, and calls `report` for each object. Returns what stays because other
/// objects depend on it.
///
/// # Errors
/// See [`MigrateError`]. Finished steps stay; run it again.
pub async fn uninstall(
    database: &Database,
    plan: &Plan,
    mut report: impl FnMut(&str),
) -> Result<Vec<Kept>, MigrateError> {
    drop_triggers(database, plan).await?;
    plan.triggers
        .iter()
        .for_each(|trigger| report(&trigger.name));
    for index in &plan.indexes {
        drop_index(database, index).await?;
        report(&format!("index {index}"));
    }
    let mut kept = Vec::new();
    for object in &plan.objects {
        if object.is_last && !kept.is_empty() {
            let why = "it is needed by what stays".to_owned();
            let name = object.name.clone();
            kept.push(Kept { name, why });
            continue;
        }
        match drop_object(database, object).await? {
            None => report(&object.name),
            Some(stays) => kept.push(stays),
        }
    }
    Ok(kept)
}

/// Stops passes and other programs' statements from using our schema.
async fn drop_triggers(database: &Database, plan: &Plan) -> Result<(), MigrateError> {
    let drops: Vec<_> = plan.triggers.iter().map(|it| &it.statement[..]).collect();
    run_step(database, "uninstall: triggers", async |transaction| {
        transaction
            .batch(&format!("SELECT pg_advisory_xact_lock({PASS_LOCK})"))
            .await?;
        empty_ledger(transaction, &plan.ours).await?;
        transaction.batch(&drops.join("; ")).await
    })
    .await
}

/// Leaves only what a later `migrate` or `uninstall` must know: what is ours.
async fn empty_ledger(transaction: &Transaction, ours: &[String]) -> Result<(), DatabaseError> {
    super::created::ensure_record(transaction).await?;
    let delete = "DELETE FROM public.booking_automation_migrations WHERE name <> 'uninstalled'";
    transaction.execute(delete, &[]).await?;
    let remember = "INSERT INTO public.booking_automation_migrations (name, created)
                    VALUES ('uninstalled', $1)
                    ON CONFLICT (name) DO UPDATE SET created = excluded.created";
    let ours = ours.to_vec();
    transaction
        .execute(remember, &[(&ours as _, Type::TEXT_ARRAY)])
        .await?;
    Ok(())
}

/// Drops one object. `Some`: it stays because other objects depend on it.
async fn drop_object(database: &Database, object: &Object) -> Result<Option<Kept>, MigrateError> {
    let step = format!("uninstall: {}", object.name);
    let dropped = run_step(database, &step, async |transaction| {
        transaction.batch(&object.statement).await
    })
    .await;
    match dropped {
        Ok(()) => Ok(None),
        Err(MigrateError::Step { cause, .. })
            if cause.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) =>
        {
            Ok(Some(Kept {
                name: object.name.clone(),
                why: cause.details(),
            }))
        }
        Err(error) => Err(error),
    }
}
