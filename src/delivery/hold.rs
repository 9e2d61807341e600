//! The hold of a channel whose account cannot send.

use tokio_postgres::types::Type;

use crate::channels::Channel;
use crate::database::{Result, Transaction};
use crate::reminders::Reason;

/// Holds the channel with a reason, or releases it.
pub(crate) async fn set_channel_hold(
    transaction: &Transaction,
    channel: Channel,
    reason: Option<Reason>,
) -> Result<()> {
    let sql = "UPDATE public.booking_automation_channels
                  SET held_reason = $2,
                      held_since = CASE WHEN $2 IS NOT NULL
                        THEN coalesce(held_since, clock_timestamp()) END
                WHERE channel = $1 AND held_reason IS DISTINCT FROM $2";
    let reason = reason.map(Reason::as_str);
    transaction
        .execute(
            sql,
            &[(&channel.as_str(), Type::TEXT), (&reason, Type::TEXT)],
        )
        .await?;
    Ok(())
}
