//! The client against a server on this computer.

mod access;
mod answers;
mod devices;
mod fake_fcm;
mod outcomes;
pub(super) mod samples;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::channels::TimeLimits;
use crate::channels::push::PushMessage;
use crate::channels::push::settings::PushSettings;
use crate::channels::push::tests::fake_fcm::FakeFcm;
use crate::channels::push::tests::samples::credentials;

/// The time by the database clock.
const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
const TOKEN: &str = "token-of-a-device";

/// Settings that lead to a server.
fn settings_for(server: &FakeFcm) -> PushSettings {
    let base = format!("http://{}", server.address);
    settings_with(&base, &format!("{base}/token"))
}

fn settings_with(endpoint: &str, token_uri: &str) -> PushSettings {
    let lookup = |name: &str| match name {
        "FCM_CREDENTIALS" => Some(credentials(token_uri).to_string()),
        "FCM_ENDPOINT" => Some(endpoint.to_owned()),
        _ => None,
    };
    let settings = PushSettings::from_environment(&lookup).expect("they are valid");
    settings.expect("the channel is on")
}

/// How long a test waits for an answer that does not come.
const SHORT: Duration = Duration::from_millis(200);

/// A message about a booking that starts in an hour.
fn message() -> PushMessage<'static> {
    PushMessage {
        event_id: Uuid::from_u128(1),
        booking_id: Some(Uuid::from_u128(0xB00)),
        title: "Haircut at 9:00 AM",
        body: "With Ana, Ringstraße 1",
        link: Some("https://go.studio.example/bookings/1"),
        starts_at: Some(NOW + Duration::from_secs(3600)),
        at: NOW,
        read_at: Instant::now(),
    }
}

/// Long after every test.
fn later() -> TimeLimits {
    leaving_by(Instant::now() + Duration::from_secs(60))
}

/// Answers are waited for until long after every test.
fn leaving_by(leave_by: Instant) -> TimeLimits {
    TimeLimits {
        leave_by,
        give_up_at: leave_by + Duration::from_secs(60),
    }
}
