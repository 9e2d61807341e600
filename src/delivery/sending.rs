//! Sends one page at its rate; every message gets an outcome.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::channels::Outcome;
use crate::channels::email::Envelope;
use crate::delivery::mailer::Mailer;
use crate::delivery::outbox::{ClaimedMessage, MessagePage};
use crate::delivery::pages::LARGEST_PAGE;
use crate::delivery::preparation::Preparation;
use crate::messages::facts::BookingFacts;
use crate::messages::{Kind, Message, language_of, render};
use crate::people::links::Purpose;
use crate::reminders::Reason;

/// Sends a page, with a limited number of requests at a time.
pub(crate) async fn send_page(
    mailer: &Mailer,
    prepared: &Preparation,
    page: MessagePage,
    rate: f64,
    read_at: Instant,
    stop_sending: Instant,
) -> Vec<(ClaimedMessage, Outcome)> {
    let (stopped, timing) = (&AtomicBool::new(false), &mailer.settings.timing);
    let sends = page
        .messages
        .into_iter()
        .enumerate()
        .map(|(position, claimed)| {
            let leaves_at =
                read_at + page.free_in + Duration::from_secs_f64(position as f64 / rate);
            async move {
                tokio::time::sleep_until(leaves_at.into()).await;
                let leave_by = (read_at + timing.fresh_for).min(stop_sending);
                let outcome = if stopped.load(Ordering::Relaxed) || Instant::now() >= leave_by {
                    Outcome::Deferred
                } else {
                    send(
                        mailer,
                        prepared,
                        &claimed,
                        leave_by,
                        stop_sending + timing.recording / 2,
                    )
                    .await
                };
                if matches!(outcome, Outcome::AccountWide { .. }) {
                    stopped.store(true, Ordering::Relaxed);
                }
                (claimed, outcome)
            }
        });
    stream::iter(sends)
        .buffer_unordered(mailer.settings.send_concurrency.get())
        .collect()
        .await
}

async fn send(
    mailer: &Mailer,
    prepared: &Preparation,
    claimed: &ClaimedMessage,
    leave_by: Instant,
    give_up_at: Instant,
) -> Outcome {
    let (envelope, message) = match write(mailer, prepared, claimed) {
        Ok(written) => written,
        Err(rejected) => return rejected,
    };
    let left = give_up_at
        .saturating_duration_since(Instant::now())
        .min(mailer.settings.timing.request);
    let outcome = match tokio::time::timeout(
        left,
        mailer.ses.send(claimed.id, &envelope, &message, leave_by),
    )
    .await
    {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Unknown {
            error: "no answer before the call had to end".to_owned(),
        },
    };
    log_outcome(claimed, &outcome);
    outcome
}

/// Writes a message.
fn write(
    mailer: &Mailer,
    prepared: &Preparation,
    claimed: &ClaimedMessage,
) -> Result<(Envelope, Message), Outcome> {
    let (kind, facts) = &with_links(mailer, prepared, claimed);
    let rejected = |reason, error: &dyn std::fmt::Display| Outcome::Rejected {
        reason,
        error: error.to_string(),
    };
    let envelope = Envelope::of(facts).map_err(|error| rejected(Reason::BadAddress, &error))?;
    if facts.timezone.is_some() && facts.is_zone_unknown() {
        tracing::warn!(
            event.id = %claimed.id,
            booking.id = %facts.booking_id,
            "the recipient's time zone is not known; the message uses the provider's, or UTC"
        );
    }
    let (settings, wording) = (&mailer.settings.messages, &prepared.wording);
    let message = render(kind, facts, settings, wording)
        .map_err(|error| rejected(Reason::Template, &error))?;
    Ok((envelope, message))
}

/// A message with links that are the recipient's alone.
fn with_links(
    mailer: &Mailer,
    prepared: &Preparation,
    claimed: &ClaimedMessage,
) -> (Kind, BookingFacts) {
    let (mut kind, mut facts) = (claimed.kind.clone(), claimed.facts.clone());
    if let (Some(signer), Some(person)) = (&prepared.signer, &claimed.person_id) {
        let language = language_of(&facts, &mailer.settings.messages);
        let sign =
            |purpose, booking| signer.url(purpose, person, claimed.kind.name(), language, booking);
        facts.preferences_link = sign(Purpose::Preferences, None);
        if claimed.asks_attendance {
            for booking in asked_about(&mut kind, &mut facts) {
                booking.attendance_link = sign(Purpose::Attendance, Some(booking.booking_id));
            }
        }
    }
    (kind, facts)
}

/// The bookings of a message that asks for attendance.
fn asked_about<'a>(kind: &'a mut Kind, facts: &'a mut BookingFacts) -> &'a mut [BookingFacts] {
    match kind {
        Kind::GroupedReminder(day) => &mut day.bookings,
        _ => slice::from_mut(facts),
    }
}

/// Logs a failure in one line, without the provider's text, which may quote addresses; the event
/// has the text.
fn log_outcome(claimed: &ClaimedMessage, outcome: &Outcome) {
    let (event, booking) = (claimed.id, claimed.facts.booking_id);
    match outcome {
        Outcome::Sent { .. } | Outcome::Deferred => {}
        // A limit of the account that lasts until a person acts: it must raise the alarm.
        Outcome::NotSent {
            reason: Reason::Limit,
            ..
        } => {
            let reason = Reason::Limit.as_str();
            tracing::error!(
                event.id = %event,
                booking.id = %booking,
                reason,
                "not sent; tried again later"
            )
        }
        Outcome::NotSent { reason, .. } => {
            let reason = reason.as_str();
            tracing::warn!(
                event.id = %event,
                booking.id = %booking,
                reason,
                "not sent; tried again later"
            )
        }
        Outcome::Rejected { reason, .. } => {
            let reason = reason.as_str();
            tracing::warn!(event.id = %event, booking.id = %booking, reason, "not sent; given up")
        }
        Outcome::Unknown { .. } => {
            tracing::warn!(
                event.id = %event,
                booking.id = %booking,
                "the answer was lost; the message may have been sent"
            )
        }
        Outcome::AccountWide { reason, .. } => {
            let reason = reason.as_str();
            tracing::error!(
                event.id = %event,
                reason,
                "the account cannot send; all messages are held back"
            );
        }
    }
}

/// Back-off: 1, 2, 4, 8 minutes. An unknown outcome first waits for the provider's own event. A
/// message that was not tried is free at once. A message that the account could not send waits, so
/// that another one is tried first.
pub(crate) fn wait_after(outcome: &Outcome, attempt: i32, mailer: &Mailer) -> Duration {
    let timing = &mailer.settings.timing;
    let back_off = timing.back_off * (1 << (attempt - 1).clamp(0, 3));
    match outcome {
        Outcome::Deferred => Duration::ZERO,
        Outcome::AccountWide { .. } => timing.probe_wait,
        Outcome::Unknown { .. } => back_off.max(mailer.unknown_wait()),
        _ => back_off,
    }
}

/// As many messages as can leave within a page's time at the last page's speed.
pub(crate) fn next_page_size(
    sent: &[(ClaimedMessage, Outcome)],
    took: Duration,
    mailer: &Mailer,
) -> i64 {
    let left: usize = sent
        .iter()
        .filter(|(_, outcome)| *outcome != Outcome::Deferred)
        .map(|(claimed, _)| claimed.events().count())
        .sum();
    let per_second = left as f64 / took.as_secs_f64().max(0.001);
    let messages = (per_second * mailer.settings.timing.page.as_secs_f64()) as i64;
    let concurrency = i64::try_from(mailer.settings.send_concurrency.get()).unwrap_or(1);
    messages.clamp(concurrency, LARGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use super::asked_about;
    use crate::messages::kind_name::KindName;
    use crate::messages::samples::{sample_facts, sample_kind};

    #[test]
    fn a_grouped_reminder_asks_about_each_of_its_bookings() {
        for (kind, listed, whole) in [
            (KindName::GroupedReminder, 2, false),
            (KindName::Reminder, 0, true),
        ] {
            let (mut kind, mut facts) = (sample_kind(kind), sample_facts("customer", "en"));
            for booking in asked_about(&mut kind, &mut facts) {
                booking.attendance_link = Some("https://links.example/a".to_owned());
            }
            assert_eq!(facts.attendance_link.is_some(), whole, "{kind:?}");
            let asked = format!("{kind:?}").matches("links.example/a").count();
            assert_eq!(asked, listed, "{kind:?}");
        }
    }
}
