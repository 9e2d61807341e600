//! Sample data, to show owners what their wording looks like.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::messages::Kind;
use crate::messages::facts::{BookingFacts, Canceller, DayFacts, MoneyUnit, RefundFacts};
use crate::messages::kind_name::KindName;

/// A message to show.
pub struct Sample {
    /// What is unusual about it.
    pub occasion: Option<&'static str>,
    /// The kind of message, with the facts that only this kind has.
    pub kind: Kind,
    /// About which booking, and to whom.
    pub facts: BookingFacts,
}

/// The messages of a kind to an audience, the usual one first. Among those of all kinds to
/// customers, each text is shown.
pub fn samples(kind: KindName, audience: &str, language: &str) -> Vec<Sample> {
    let mut facts = sample_facts(audience, language);
    let is_customer = audience == "customer";
    if kind == KindName::Reminder && is_customer {
        facts.attendance_link = Some("https://links.example/a/sample".to_owned());
    }
    let sample = |occasion, kind, facts| Sample {
        occasion,
        kind,
        facts,
    };
    let mut samples = vec![sample(None, sample_kind(kind), facts.clone())];
    if !is_customer {
        return samples;
    }
    match kind {
        KindName::Reminder => {
            samples.extend([
                sample(
                    Some("in another zone, before the clocks change"),
                    Kind::Reminder,
                    away(&facts),
                ),
                sample(
                    Some("online, without names"),
                    Kind::Reminder,
                    online(&facts),
                ),
            ]);
        }
        KindName::Cancelled => {
            let refunds = [
                ("a part is refunded", "50", Some("22.50")),
                ("a part of an unknown price is refunded", "50", None),
                ("nothing is refunded", "0", Some("0.00")),
            ];
            samples.extend(refunds.map(|(occasion, percent, amount)| {
                let kind = Kind::Cancelled {
                    by: Some(Canceller::Customer),
                    refund: Some(refund(percent, amount)),
                };
                sample(Some(occasion), kind, facts.clone())
            }));
        }
        _ => {}
    }
    samples
}

fn away(usual: &BookingFacts) -> BookingFacts {
    const HALF_A_YEAR: Duration = Duration::from_secs(182 * 24 * 60 * 60);
    BookingFacts {
        timezone: Some("America/New_York".to_owned()),
        starts_in: HALF_A_YEAR,
        ..usual.clone()
    }
}

fn online(usual: &BookingFacts) -> BookingFacts {
    BookingFacts {
        name: None,
        service: None,
        with_name: None,
        place: None,
        is_online: true,
        meeting_link: Some("https://meet.example/abc".to_owned()),
        timezone: Some("America/New_York".to_owned()),
        ..usual.clone()
    }
}

fn refund(percent: &str, amount: Option<&str>) -> RefundFacts {
    RefundFacts {
        percent: percent.to_owned(),
        total: amount.map(|_| "45.00".to_owned()),
        amount: amount.map(str::to_owned),
        currency: Some("EUR".to_owned()),
        unit: Some(MoneyUnit::Major),
    }
}

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
            refund: Some(refund("100", Some("45.00"))),
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
        phone: None,
        sms_allowed: false,
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
        asks_reply: false,
    }
}

/// A Tuesday afternoon.
fn start() -> DateTime<Utc> {
    const SECONDS: i64 = 1_772_546_400; // 2026-03-03T14:00:00Z
    DateTime::from_timestamp(SECONDS, 0).unwrap_or_default()
}
