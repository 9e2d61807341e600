//! What the messages of a preview will cost: how many leave by which channel on which day, and for
//! SMS the parts and the price, as far as earlier ones tell. The preview reads no number and writes
//! no text: both are means of the latest SMS.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::channels::Channel;
use crate::database::Parameter;
use crate::support::costs::{COST_OF_MESSAGE, CURRENCY};
use crate::support::route::used_channel;

pub(crate) static EXPECTED_COSTS: LazyLock<String> =
    LazyLock::new(|| include_str!("expected_costs.sql").replace("{cost}", COST_OF_MESSAGE));

/// The costs to come.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ExpectedCosts {
    currency: &'static str,
    days: Vec<ExpectedDay>,
}

/// The messages by a channel on a day.
#[derive(Clone, Debug, Serialize)]
struct ExpectedDay {
    /// In UTC.
    day: NaiveDate,
    channel: String,
    messages: i64,
    #[serde(flatten)]
    sms: Option<ExpectedSms>,
}

/// What the SMS of a day cost.
#[derive(Clone, Debug, Serialize)]
struct ExpectedSms {
    parts: i64,
    /// `None`: no receipt has told a price.
    price: Option<String>,
}

/// The messages to come, counted.
#[derive(Debug, Default)]
pub(crate) struct ExpectedMessages {
    by_channel: BTreeMap<(NaiveDate, String), i64>,
    /// The SMS of each day, rule and audience.
    days: Vec<NaiveDate>,
    rules: Vec<String>,
    audiences: Vec<String>,
    counts: Vec<i64>,
}

impl ExpectedMessages {
    /// Of rows of `pass`, `rule`, `audience`, `channel`, `via`, `reason`, `count`.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut messages = Self::default();
        let mut sms = BTreeMap::<(NaiveDate, String, String), i64>::new();
        for row in rows {
            if row.get::<_, Option<&str>>("reason").is_some() {
                continue;
            }
            let day = row.get::<_, DateTime<Utc>>("pass").date_naive();
            let channel = used_channel(row.get("channel"), row.get("via"));
            let count: i64 = row.get("count");
            let of_channel = messages.by_channel.entry((day, channel.to_owned()));
            *of_channel.or_default() += count;
            if Channel::from_name(channel) == Some(Channel::Sms) {
                let key = (day, row.get("rule"), row.get("audience"));
                *sms.entry(key).or_default() += count;
            }
        }
        for ((day, rule, audience), count) in sms {
            messages.days.push(day);
            messages.rules.push(rule);
            messages.audiences.push(audience);
            messages.counts.push(count);
        }
        messages
    }

    pub(crate) fn have_sms(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Those of [`EXPECTED_COSTS`].
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 4] {
        [
            (&self.days, Type::DATE_ARRAY),
            (&self.rules, Type::TEXT_ARRAY),
            (&self.audiences, Type::TEXT_ARRAY),
            (&self.counts, Type::INT8_ARRAY),
        ]
    }

    /// With the rows of [`EXPECTED_COSTS`].
    pub(crate) fn costs(self, sms: &[Row]) -> ExpectedCosts {
        let days = self.by_channel.into_iter();
        let days = days.map(|((day, channel), messages)| {
            let is_sms = Channel::from_name(&channel) == Some(Channel::Sms);
            let found = sms
                .iter()
                .find(|row| is_sms && row.get::<_, NaiveDate>("day") == day);
            ExpectedDay {
                day,
                channel,
                messages,
                sms: found.map(|row| ExpectedSms {
                    parts: row.get("parts"),
                    price: row.get("price"),
                }),
            }
        });
        ExpectedCosts {
            currency: CURRENCY,
            days: days.collect(),
        }
    }
}
