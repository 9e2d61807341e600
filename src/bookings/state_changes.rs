//! Changes of `booking_automation_state` that wait for a pass: the automation had written the row
//! after the snapshot of the user's transaction, whose trigger therefore could not.

use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// Changes that one pass makes at most; the rest follows in the next.
const LIMIT: i64 = 20_000;

const MAKE: &str = include_str!("state_changes.sql");

/// SQL of a boolean: there may be some. Before `migrate` of 0.3.0, there is no table of them.
pub(crate) const ANY_WAITING: &str =
    "coalesce(pg_relation_size(to_regclass('public.booking_automation_state_changes')), 0) > 0";

/// SQL of a boolean: no block of the booking `b` was removed that the next pass records. Its
/// overdue time counts from then.
pub(crate) const NOT_YET_UNBLOCKED: &str =
    "NOT EXISTS (SELECT FROM public.booking_automation_state_changes c
        WHERE c.booking_id = b.id AND c.unblocked_at IS NOT NULL)";

/// Makes the changes that wait, if there may be any: [`ANY_WAITING`]. A failure is logged, and the
/// next pass tries again.
pub(crate) async fn make_state_changes(transaction: &Transaction, any_waiting: bool) -> Result<()> {
    if !any_waiting {
        return Ok(());
    }
    let make =
        async |transaction: &Transaction| transaction.execute(MAKE, &[(&LIMIT, Type::INT8)]).await;
    let made = transaction
        .in_savepoint(transaction.statement_timeout() / 2, make)
        .await;
    match made {
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "changes of bookings could not be recorded; the next pass tries again"
            );
            Ok(())
        }
        made => made.map(|_| ()),
    }
}
