//! Cancelling a booking: who may, until when, and what is refunded. What is refunded is decided here, and recorded; no money is
//! moved.
//!
//! Whether a booking may be cancelled says the table in [`crate::lifecycle`], by the one judge in [`crate::status`]; what is
//! refunded say [`crate::policies`]. Amounts are decimals, reckoned by PostgreSQL; here they are text that is handed on.

pub(crate) mod policies;

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::policies::{
    Case, INSTANT, LONGEST_AMOUNT, Policies, Policy, Tier, Undecided, in_force, is_amount, moment,
};
use crate::bookings::lifecycle::Role;
use crate::bookings::status_change::{self, Booking, Refused};
use crate::config::PassSettings;
use crate::database::{DatabaseError, Transaction, finite};

/// The status.
pub(crate) const CANCELLED: &str = "cancelled";

/// What is refunded, and by what.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refund {
    percent: String,
    /// The booking's price, if it has one; `amount` and `kept` add up to it.
    total: Option<String>,
    pub(crate) amount: Option<String>,
    kept: Option<String>,
    /// The last moment at which it is so; `None`: it does not change.
    until: Option<DateTime<Utc>>,
    policy: Policy,
    text: String,
}

impl fmt::Display for Refund {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refund {
    /// As the audit trail has it.
    pub(crate) fn decision(&self) -> Value {
        json!({"percent": self.percent, "total": self.total, "amount": self.amount, "kept": self.kept, "policy": self.policy})
    }
}

/// What is refunded for a booking that has this status, if it is cancelled now.
pub(crate) async fn refund(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    status: &str,
    role: Role,
    no_show: bool,
) -> Result<Refund, Refused> {
    let terms = Terms::read(transaction, booking_id).await?.ok_or(Refused::Unknown)?;
    let total = terms.total.clone()?;
    let tiers = terms.policies.tiers(Case::of(role, no_show))?;
    let (tier, until) = in_force(&tiers, as_of, status)?;
    let mut refunds = refunds(transaction, total.as_deref(), &[(tier, until)]).await?;
    refunds.pop().ok_or(Refused::Unknown)
}

/// Who may cancel a booking, until when, and what is refunded.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    booking_id: Uuid,
    as_of: DateTime<Utc>,
    /// As time has made it, though no pass may have come yet.
    status: String,
    starts_at: Option<DateTime<Utc>>,
    total: Option<String>,
    options: Vec<Choice>,
}

/// One way to cancel it.
#[derive(Debug, Serialize)]
struct Choice {
    role: Role,
    no_show: bool,
    allowed: bool,
    /// From this moment on it is not allowed, if nothing else changes; `None`: that is not to be foreseen.
    before: Option<DateTime<Utc>>,
    text: String,
    /// Now.
    refund: Option<Refund>,
    /// After that, one after the other.
    later: Vec<Refund>,
}

/// Tells it without a lock and without a write: nobody waits for one who only asks, and no trigger of the user's fires.
pub(crate) async fn outlook(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Outlook, Refused> {
    let mut life = status_change::foreseen(transaction, settings, as_of, booking_id).await?.ok_or(Refused::Unknown)?;
    let terms = Terms::read(transaction, booking_id).await?.ok_or(Refused::Unknown)?;
    let (_, booking) = life.remove(0);
    let mut options = Vec::new();
    for (role, no_show) in [
        (Role::Customer, false),
        (Role::Provider, false),
        (Role::Provider, true),
        (Role::Admin, false),
        (Role::System, false),
    ] {
        let may = |booking: &Booking| status_change::judge(booking, &[], CANCELLED, role, no_show);
        options.push(match may(&booking) {
            Err(refused) => Choice::refused(role, no_show, &refused),
            Ok(_) => {
                let before = life.iter().find(|(_, booking)| may(booking).is_err()).map(|(moment, _)| *moment);
                let case = Case::of(role, no_show);
                match terms.prospects(transaction, as_of, &booking.status, case, before).await {
                    Ok(refunds) => Choice::allowed(role, no_show, before, refunds),
                    Err(Refused::Undecided(why)) => Choice::refused(role, no_show, &why),
                    Err(refused) => return Err(refused),
                }
            }
        });
    }
    let total = terms.total.clone().ok().flatten();
    Ok(Outlook { booking_id, as_of, status: booking.status, starts_at: terms.start, total, options })
}

impl Choice {
    fn refused(role: Role, no_show: bool, why: &dyn fmt::Display) -> Self {
        Self { role, no_show, allowed: false, before: None, text: why.to_string(), refund: None, later: Vec::new() }
    }

    fn allowed(role: Role, no_show: bool, before: Option<DateTime<Utc>>, refunds: Vec<Refund>) -> Self {
        let mut refunds = refunds.into_iter();
        let refund = refunds.next();
        let what = if no_show { "report a no-show" } else { "cancel" };
        let how_long = before.map(|before| format!(" before {}", moment(before))).unwrap_or_default();
        let text = refund.as_ref().map(|refund| format!(" {refund}")).unwrap_or_default();
        let text = format!("{role} may {what}{how_long}.{text}");
        Self { role, no_show, allowed: true, before, text, refund, later: refunds.collect() }
    }
}

/// What the tiers come to. The amounts are the database's.
async fn refunds(
    transaction: &Transaction,
    total: Option<&str>,
    tiers: &[(&Tier, Option<DateTime<Utc>>)],
) -> Result<Vec<Refund>, DatabaseError> {
    let percents: Vec<_> = tiers.iter().map(|(tier, _)| tier.percent.as_str()).collect();
    let parameters = [(&total as _, Type::TEXT), (&percents as _, Type::TEXT_ARRAY)];
    let rows = transaction.query(include_str!("refunds.sql"), &parameters).await?;
    let refund = |(row, (tier, until)): (&tokio_postgres::Row, &(&Tier, Option<DateTime<Utc>>))| {
        let (percent, total, amount, kept): (String, Option<String>, Option<String>, Option<String>) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let Policy { source, name, .. } = &tier.policy;
        let what = match (&total, &amount, &kept) {
            (Some(total), Some(amount), Some(kept)) => {
                format!("{amount} of {total} ({percent} %) is refunded and {kept} is kept")
            }
            _ => format!("{percent} % is refunded of a booking that has no price"),
        };
        let how_long = until.map(|until| format!(", up to and including {}", moment(until))).unwrap_or_default();
        let text = format!("By the policy {name:?} ({source}), {what}{how_long}.");
        Refund { percent, total, amount, kept, until: *until, policy: tier.policy.clone(), text }
    };
    Ok(rows.iter().zip(tiers).map(refund).collect())
}

/// All that decides what is refunded for one booking.
struct Terms {
    start: Option<DateTime<Utc>>,
    total: Result<Option<String>, Undecided>,
    policies: Policies,
}

impl Terms {
    async fn read(transaction: &Transaction, booking_id: Uuid) -> Result<Option<Self>, DatabaseError> {
        let sql = "SELECT booking ? 'total_price', jsonb_typeof(booking -> 'total_price'), booking ->> 'total_price',
                          booking ->> 'service_id', scheduled_at
                     FROM (SELECT to_jsonb(b) AS booking, b.scheduled_at FROM bookings b WHERE b.id = $1) AS found";
        let rows = transaction.query(sql, &[(&booking_id, Type::UUID)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let service: Option<String> = row.get(3);
        let service = service.and_then(|id| id.parse().ok());
        // At the calendar's far ends, a moment before or after cannot be told.
        let start = finite(row, 4).filter(|time| (0..10_000).contains(&time.year()));
        let total = total(row.get(0), row.get(1), row.get(2));
        Ok(Some(Self { start, total, policies: Policies::read(transaction, service, start).await? }))
    }

    /// What is refunded from now on, one after the other, as long as it may be cancelled.
    async fn prospects(
        &self,
        transaction: &Transaction,
        as_of: DateTime<Utc>,
        status: &str,
        case: Case,
        before: Option<DateTime<Utc>>,
    ) -> Result<Vec<Refund>, Refused> {
        let total = self.total.clone()?;
        let tiers = self.policies.tiers(case)?;
        let mut prospects = vec![in_force(&tiers, as_of, status)?];
        while let Some(next) = prospects.last().and_then(|(_, until)| *until).map(|until| until + INSTANT) {
            match in_force(&tiers, next, status) {
                Ok(prospect) if before.is_none_or(|before| next < before) => prospects.push(prospect),
                _ => break,
            }
        }
        Ok(refunds(transaction, total.as_deref(), &prospects).await?)
    }
}

/// The booking's price: its column, as JSON has it.
fn total(is_there: bool, kind: Option<String>, text: Option<String>) -> Result<Option<String>, Undecided> {
    match (kind.as_deref(), text) {
        _ if !is_there => {
            Err(Undecided::Setup("bookings has no column total_price: what is refunded is a part of it".into()))
        }
        (_, None) => Ok(None),
        (Some("number"), Some(total)) if is_amount(&total) => Ok(Some(total)),
        (_, Some(total)) => {
            let total: String = total.chars().take(LONGEST_AMOUNT).collect();
            Err(Undecided::Data(format!(
                "the booking's total_price, {total}, is no amount that a part can be refunded of"
            )))
        }
    }
}
