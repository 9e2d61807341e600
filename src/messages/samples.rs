//! Sample data, to show owners what their wording looks like.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::messages::Kind;
use crate::messages::facts::{BookingFacts, Canceller, DayFacts, MoneyUnit, RefundFacts};
use crate::messages::kind_name::KindName;

/// A message of this kind.
pub fn sample_kind(kind: KindName) -> Kind {
    match kind {
        KindName::Reminder => Kind::Reminder,
        KindName::GroupedReminder => Kind::GroupedReminder(sample_day(0)),
        KindName::Confirmed => Kind::Confirmed,
        KindName::Rescheduled => Kind::Rescheduled {
            from: Some(start() - TimeDelta::days(2)),
        },
        KindName::Cancelled => Kind::Cancelled {
            by: Some(Canceller::Provider),
            refund: Some(RefundFacts {
                percent: "100".to_owned(),
                total: Some("45.00".to_owned()),
                amount: Some("45.00".to_owned()),
                currency: Some("EUR".to_owned()),
                unit: Some(MoneyUnit::Major),
            }),
        },
        KindName::Expired => Kind::Expired,
        KindName::FollowUp => Kind::FollowUp,
        KindName::Digest => Kind::Digest(sample_day(2)),
    }
}

/// A booking at a place, one online, and others.
fn sample_day(others: usize) -> DayFacts {
    let booking = sample_facts("provider", "en");
    DayFacts {
        date: start().date_naive(),
        others,
        bookings: vec![
            booking.clone(),
            BookingFacts {
                starts_at: start() + TimeDelta::minutes(90),
                duration_minutes: Some(30),
                place: None,
                is_online: true,
                meeting_link: Some("https://meet.example/abc".to_owned()),
                ..booking
            },
        ],
    }
}

/// A booking of the next day, for a customer or a provider.
pub fn sample_facts(audience: &str, language: &str) -> BookingFacts {
    BookingFacts {
        booking_id: Uuid::nil(),
        audience: audience.to_owned(),
        is_guest: false,
        starts_at: start(),
        starts_in: Duration::from_secs(24 * 60 * 60),
        duration_minutes: Some(60),
        email: "carla@customers.example".to_owned(),
        reply_to: None,
        name: Some("Carla".to_owned()),
        timezone: Some("Europe/Vienna".to_owned()),
        language: Some(language.to_owned()),
        service: Some("Massage".to_owned()),
        with_name: Some("Petra".to_owned()),
        place: Some("Ringstraße 1, Wien".to_owned()),
        meeting_link: None,
        is_online: false,
        place_timezone: Some("Europe/Vienna".to_owned()),
        sequence: 2,
        told_at: start() - TimeDelta::days(1),
        preferences_link: Some("https://links.example/p/sample".to_owned()),
        attendance_link: None,
    }
}

/// A Tuesday afternoon.
fn start() -> DateTime<Utc> {
    const SECONDS: i64 = 1_772_546_400; // 2026-03-03T14:00:00Z
    DateTime::from_timestamp(SECONDS, 0).unwrap_or_default()
}
