//! Sends messages: writes each, and hands it over to its channel.

use std::slice;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::channels::{Outcome, TimeLimits};
use crate::delivery::engine::{Carrier, Claimed};
use crate::delivery::messenger::Messenger;
use crate::delivery::outbox::Draft;
use crate::delivery::preparation::Preparation;
use crate::messages::facts::BookingFacts;
use crate::messages::settings::MessageSettings;
use crate::messages::{Kind, Message, RenderError, language_of, render};
use crate::people::links::Purpose;
use crate::reminders::Reason;

/// Sends one page of messages.
pub(crate) struct MessageCarrier<'a, M> {
    pub(crate) messenger: &'a M,
    pub(crate) settings: &'a MessageSettings,
    pub(crate) prepared: &'a Preparation,
    pub(crate) limits: TimeLimits,
    /// Cancelled when the account cannot send, or has to wait; the pages of a call share it.
    pub(crate) stop: CancellationToken,
}

impl<M: Messenger> Carrier for MessageCarrier<'_, M> {
    type Content = Draft;

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn send(&self, claimed: &Claimed<Draft>) -> Outcome {
        let mut draft = with_links(self.settings, self.prepared, &claimed.content);
        let has_links = self.settings.link_base_url.is_some();
        draft.facts.asks_reply = draft.asks_attendance
            && draft.person_id.is_some()
            && self.messenger.takes_replies(has_links);
        let message = match write(self.settings, self.prepared, claimed.id, &draft) {
            Ok(message) => message,
            Err(error) => {
                return Outcome::Rejected {
                    reason: Reason::Template,
                    error: error.to_string(),
                };
            }
        };
        let sending = (self.messenger).send(claimed.id, &draft, &message, self.limits);
        let outcome = sending.await;
        log_outcome(claimed, &outcome);
        if self.stops_lane(&outcome) {
            self.stop.cancel();
        }
        outcome
    }
}

impl<M: Messenger> MessageCarrier<'_, M> {
    /// Whether no other message shall leave in this call: the account cannot send, or the provider
    /// asks to wait.
    fn stops_lane(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::AccountWide { .. } => true,
            Outcome::NotSent {
                reason: Reason::Throttled,
                ..
            } => !self.messenger.asked_wait().is_zero(),
            _ => false,
        }
    }
}

/// Writes a message.
fn write(
    settings: &MessageSettings,
    prepared: &Preparation,
    event_id: Uuid,
    draft: &Draft,
) -> Result<Message, RenderError> {
    let facts = &draft.facts;
    if facts.timezone.is_some() && facts.is_zone_unknown() {
        tracing::warn!(
            event.id = %event_id,
            booking.id = %facts.booking_id,
            "the recipient's time zone is not known; the message uses the provider's, or UTC"
        );
    }
    render(&draft.kind, facts, settings, &prepared.wording)
}

/// A message with links that are the recipient's alone.
fn with_links(settings: &MessageSettings, prepared: &Preparation, draft: &Draft) -> Draft {
    let mut linked = draft.clone();
    if let (Some(signer), Some(person)) = (&prepared.signer, &draft.person_id) {
        let language = language_of(&draft.facts, settings);
        let sign =
            |purpose, booking| signer.url(purpose, person, draft.kind.name(), language, booking);
        linked.facts.preferences_link = sign(Purpose::Preferences, None);
        if draft.asks_attendance {
            for booking in asked_about(&mut linked.kind, &mut linked.facts) {
                booking.attendance_link = sign(Purpose::Attendance, Some(booking.booking_id));
            }
        }
    }
    linked
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
    use crate::messages::Kind;
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
            let day = match &kind {
                Kind::GroupedReminder(day) => &day.bookings[..],
                _ => &[],
            };
            let asked = day.iter().filter(|facts| facts.attendance_link.is_some());
            assert_eq!(asked.count(), listed, "{kind:?}");
            let printed = format!("{kind:?} {facts:?}");
            assert!(
                !printed.contains('@') && !printed.contains("links.example"),
                "{printed}"
            );
        }
    }
}
