//! What messages cost: the SMS of each day, in parts and US dollars. AWS tells the price with the
//! receipts; without one, the parts are those that were counted when the message left.

use std::sync::LazyLock;

use serde::Serialize;
use tokio_postgres::types::Type;

use crate::channels::Channel;
use crate::database::owner_functions::is_known;
use crate::database::{Result, Transaction};

/// The currency of AWS's prices.
pub(crate) const CURRENCY: &str = "USD";
/// Days, at most.
pub(crate) const MOST_DAYS: i64 = 92;

/// SQL of what the message `e` cost, with all its attempts: `parts` and `price`; no row: nothing.
/// `event_data` may be another program's.
pub(crate) const COST_OF_MESSAGE: &str = include_str!("cost_of_message.sql");

pub(crate) static COSTS: LazyLock<String> =
    LazyLock::new(|| include_str!("costs.sql").replace("{cost}", COST_OF_MESSAGE));

/// The costs of a time.
#[derive(Debug, Serialize)]
pub(crate) struct Costs {
    currency: &'static str,
    days: Vec<DayCosts>,
}

/// What the messages of a channel cost on a day.
#[derive(Debug, Serialize)]
struct DayCosts {
    /// In UTC.
    day: String,
    channel: Channel,
    messages: i64,
    parts: i64,
    /// Of those whose price is known.
    price: String,
    /// Messages whose price is not known, or not yet.
    unpriced: i64,
}

/// What the messages of the last days cost, today included, the latest first.
pub(crate) async fn read_costs(transaction: &Transaction, days: i64) -> Result<Costs> {
    let rows = match is_known(transaction).await? {
        true => transaction.query(&COSTS, &[(&days, Type::INT8)]).await?,
        // Before `migrate`, there are no SMS.
        false => Vec::new(),
    };
    let days = rows.iter().map(|row| DayCosts {
        day: row.get("day"),
        channel: Channel::Sms,
        messages: row.get("messages"),
        parts: row.get("parts"),
        price: row.get("price"),
        unpriced: row.get("unpriced"),
    });
    Ok(Costs {
        currency: CURRENCY,
        days: days.collect(),
    })
}
