//! Sends mails: writes each, and hands it to SES.

use std::slice;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::channels::Outcome;
use crate::channels::email::Envelope;
use crate::delivery::engine::{Carrier, Claimed};
use crate::delivery::mailer::Mailer;
use crate::delivery::outbox::Draft;
use crate::delivery::preparation::Preparation;
use crate::messages::facts::BookingFacts;
use crate::messages::{Kind, Message, language_of, render};
use crate::people::links::Purpose;
use crate::reminders::Reason;

/// Sends one page of mails.
pub(crate) struct MailCarrier<'a> {
    pub(crate) mailer: &'a Mailer,
    pub(crate) prepared: &'a Preparation,
    /// No request leaves after that.
    pub(crate) leave_by: Instant,
    /// No answer is waited for after that.
    pub(crate) give_up_at: Instant,
    /// Cancelled when the account cannot send; the pages of a call share it.
    pub(crate) stop: CancellationToken,
}

impl Carrier for MailCarrier<'_> {
    type Content = Draft;

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn send(&self, claimed: &Claimed<Draft>) -> Outcome {
        let Self {
            mailer, prepared, ..
        } = self;
        let (envelope, message) = match write(mailer, prepared, claimed) {
            Ok(written) => written,
            Err(rejected) => return rejected,
        };
        let left = self
            .give_up_at
            .saturating_duration_since(Instant::now())
            .min(mailer.settings.timing.request);
        let answer = mailer
            .ses
            .send(claimed.id, &envelope, &message, self.leave_by);
        let outcome = match tokio::time::timeout(left, answer).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown {
                error: "no answer before the call had to end".to_owned(),
            },
        };
        log_outcome(claimed, &outcome);
        if let Outcome::AccountWide { .. } = outcome {
            self.stop.cancel();
        }
        outcome
    }
}

/// Writes a message.
fn write(
    mailer: &Mailer,
    prepared: &Preparation,
    claimed: &Claimed<Draft>,
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
    claimed: &Claimed<Draft>,
) -> (Kind, BookingFacts) {
    let draft = &claimed.content;
    let (mut kind, mut facts) = (draft.kind.clone(), draft.facts.clone());
    if let (Some(signer), Some(person)) = (&prepared.signer, &draft.person_id) {
        let language = language_of(&facts, &mailer.settings.messages);
        let sign =
            |purpose, booking| signer.url(purpose, person, draft.kind.name(), language, booking);
        facts.preferences_link = sign(Purpose::Preferences, None);
        if draft.asks_attendance {
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
fn log_outcome(claimed: &Claimed<Draft>, outcome: &Outcome) {
    let (event, booking) = (claimed.id, claimed.content.facts.booking_id);
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
