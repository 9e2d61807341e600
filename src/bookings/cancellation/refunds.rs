//! What is refunded when a booking is cancelled, and by which policy.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::money::{MoneySettings, Price, PriceUnit, StoredPrice};
use crate::bookings::cancellation::policies::Policies;
use crate::bookings::cancellation::tiers::{
    Case, INSTANT, Policy, RefundUndetermined, Tier, format_moment, in_force,
};
use crate::bookings::lifecycle::Status;
use crate::database::owner_functions::{AMOUNT_PAID, function_oid_sql};
use crate::database::{DatabaseError, IS_WHOLE, Transaction, finite};

/// What is refunded, and by which policy.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refund {
    percent: String,
    /// The booking's price, if it has one; `amount` and `kept` add up to it.
    total: Option<String>,
    pub(crate) amount: Option<String>,
    kept: Option<String>,
    /// The code of ISO 4217, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    /// The unit of the amounts, where `PRICE_UNIT` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<PriceUnit>,
    /// The last moment at which this refund applies; `None`: it does not change.
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
    /// The refund's entry in the audit trail.
    pub(crate) fn decision(&self) -> Value {
        let Self {
            percent,
            total,
            amount,
            kept,
            policy,
            ..
        } = self;
        let mut decision = json!({"percent": percent, "total": total, "amount": amount,
                                  "kept": kept, "policy": policy});
        if let Some(currency) = self.currency {
            decision["currency"] = json!(currency);
        }
        if let Some(unit) = self.unit {
            decision["unit"] = json!(unit);
        }
        decision
    }

    fn of(row: &Row, price: &Price, (tier, until): &(&Tier, Option<DateTime<Utc>>)) -> Self {
        let percent: String = row.get("percent");
        let (total, amount, kept): (Option<String>, Option<String>, Option<String>) =
            (row.get("total"), row.get("amount"), row.get("kept"));
        let Policy { source, name, .. } = &tier.policy;
        let what = match (&total, &amount, &kept) {
            (Some(total), Some(amount), Some(kept)) => {
                let money = name_of_money(price);
                format!("{amount} of {total}{money} ({percent} %) is refunded and {kept} is kept")
            }
            _ => format!("{percent} % is refunded (the booking has no price)"),
        };
        let how_long = until
            .map(|until| format!(", up to and including {}", format_moment(until)))
            .unwrap_or_default();
        let text = format!("By the policy {name:?} ({source}), {what}{how_long}.");
        Self {
            percent,
            total,
            amount,
            kept,
            currency: price.currency,
            unit: price.unit,
            until: *until,
            policy: tier.policy.clone(),
            text,
        }
    }
}

/// What follows an amount in a sentence.
fn name_of_money(price: &Price) -> String {
    match (price.unit, price.currency) {
        (Some(PriceUnit::Minor), None) => " minor units".to_owned(),
        (Some(PriceUnit::Minor), Some(currency)) => format!(" minor units of {currency}"),
        (_, Some(currency)) => format!(" {currency}"),
        (_, None) => String::new(),
    }
}

/// Why there is no refund to report.
#[derive(Debug)]
pub(crate) enum RefundError {
    /// There is no such booking.
    NoBooking,
    /// Policies or price do not determine it.
    Undetermined(RefundUndetermined),
    Database(DatabaseError),
}

impl From<RefundUndetermined> for RefundError {
    fn from(why: RefundUndetermined) -> Self {
        Self::Undetermined(why)
    }
}

impl From<DatabaseError> for RefundError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// The refund for a booking with this status, if it is cancelled now.
pub(crate) async fn refund(
    transaction: &Transaction,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    status: Status,
    case: Case,
) -> Result<Refund, RefundError> {
    let basis = RefundBasis::read(transaction, money, booking_id)
        .await?
        .ok_or(RefundError::NoBooking)?;
    let price = basis.price.clone()?;
    let tiers = basis.policies.tiers(case)?;
    let (tier, until) = in_force(&tiers, as_of, status.as_str())?;
    let mut refunds = calculate(transaction, &price, &[(tier, until)]).await?;
    refunds.pop().ok_or(RefundError::NoBooking)
}

/// The refunds of the tiers. The database calculates the amounts.
async fn calculate(
    transaction: &Transaction,
    price: &Price,
    tiers: &[(&Tier, Option<DateTime<Utc>>)],
) -> Result<Vec<Refund>, DatabaseError> {
    let percents: Vec<_> = tiers
        .iter()
        .map(|(tier, _)| tier.percent.as_str())
        .collect();
    let parameters = [
        (&price.total as _, Type::TEXT),
        (&percents as _, Type::TEXT_ARRAY),
        (&price.digits as _, Type::INT4),
    ];
    let rows = transaction
        .query(include_str!("refunds.sql"), &parameters)
        .await?;
    Ok(rows
        .iter()
        .zip(tiers)
        .map(|(row, tier)| Refund::of(row, price, tier))
        .collect())
}

/// How it is known what was paid for a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaidBy {
    /// By the owner's function.
    Function,
    /// There is none: by `bookings.total_price`.
    TotalPrice,
}

impl PaidBy {
    async fn read(transaction: &Transaction) -> Result<Self, DatabaseError> {
        let sql = format!(
            "SELECT {} IS NOT NULL AS exists",
            function_oid_sql(AMOUNT_PAID)
        );
        let row = transaction.query_one(&sql, &[]).await?;
        Ok(match row.get("exists") {
            true => Self::Function,
            false => Self::TotalPrice,
        })
    }

    pub(crate) fn refund_basis_sql(self) -> String {
        let (is_whole, has_price, paid) = match self {
            Self::Function => (
                format!(
                    "(SELECT p.prorettype = 'bigint'::regtype FROM pg_proc p WHERE p.oid = {})",
                    function_oid_sql(AMOUNT_PAID)
                ),
                "true",
                "to_jsonb(public.booking_automation_amount_paid(b.*))",
            ),
            Self::TotalPrice => (
                format!(
                    "EXISTS (SELECT FROM pg_attribute a
                              WHERE a.attrelid = 'public.bookings'::regclass
                                AND a.attname = 'total_price' AND {IS_WHOLE})"
                ),
                "booking ? 'total_price'",
                "to_jsonb(b.*) -> 'total_price'",
            ),
        };
        include_str!("refund_basis.sql")
            .replace("{is_whole}", &is_whole)
            .replace("{has_price}", has_price)
            .replace("{paid}", paid)
    }
}

/// Everything that determines the refund for one booking.
pub(crate) struct RefundBasis {
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) price: Result<Price, RefundUndetermined>,
    policies: Policies,
}

impl RefundBasis {
    /// `None`: there is no such booking.
    pub(crate) async fn read(
        transaction: &Transaction,
        money: MoneySettings,
        booking_id: Uuid,
    ) -> Result<Option<Self>, RefundError> {
        let paid = PaidBy::read(transaction).await?;
        let sql = paid.refund_basis_sql();
        let read = async |transaction: &Transaction| {
            let parameters = [(&booking_id as _, Type::UUID)];
            transaction.query(&sql, &parameters).await
        };
        let limit = transaction.statement_timeout();
        let rows = match transaction.in_savepoint(limit, read).await {
            // The owner's function fails for this booking.
            Err(error) if paid == PaidBy::Function && error.is_of_a_row() => {
                return Err(RefundUndetermined::Data(format!(
                    "{AMOUNT_PAID} fails for this booking: SQLSTATE {}",
                    error.code().map_or("unknown", SqlState::code)
                ))
                .into());
            }
            rows => rows?,
        };
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let service: Option<String> = row.get("service");
        let service = service.and_then(|id| id.parse().ok());
        // Near the calendar's ends, a moment before or after cannot be represented.
        let start = finite(row, "scheduled_at").filter(|time| (0..10_000).contains(&time.year()));
        let stored = StoredPrice {
            has_column: row.get("has_price"),
            is_whole: row.get("is_whole"),
            json_type: row.get("price_type"),
            text: row.get("price"),
            currency: row.get("currency"),
        };
        Ok(Some(Self {
            start,
            price: stored.price(money),
            policies: Policies::read(transaction, service, start).await?,
        }))
    }

    /// The refunds from now on, in order of time, as long as the booking may be cancelled.
    pub(crate) async fn refunds_from(
        &self,
        transaction: &Transaction,
        as_of: DateTime<Utc>,
        status: &str,
        case: Case,
        before: Option<DateTime<Utc>>,
    ) -> Result<Vec<Refund>, RefundError> {
        let price = self.price.clone()?;
        let tiers = self.policies.tiers(case)?;
        let mut in_turn = vec![in_force(&tiers, as_of, status)?];
        while let Some(next) = in_turn
            .last()
            .and_then(|(_, until)| *until)
            .map(|until| until + INSTANT)
        {
            match in_force(&tiers, next, status) {
                Ok(tier) if before.is_none_or(|before| next < before) => in_turn.push(tier),
                _ => break,
            }
        }
        Ok(calculate(transaction, &price, &in_turn).await?)
    }
}
