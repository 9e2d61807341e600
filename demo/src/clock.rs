//! The clock on the studio's wall.

use chrono::{DateTime, Utc};

/// The time zone of the times that the demo shows.
const ZONE: &str = "Europe/Vienna";

/// The weekday and local time of the studio.
pub fn clock(time: DateTime<Utc>) -> anyhow::Result<String> {
    let there = jiff::Timestamp::from_second(time.timestamp())?.in_tz(ZONE)?;
    Ok(there.strftime("%a %H:%M").to_string())
}
