//! The texter: sends SMS.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::channels::sms::settings::SmsSettings;
use crate::channels::sms::{SHORTEST_LIFE, Sms};
use crate::channels::timing::Timing;
use crate::channels::{Channel, Outcome, TimeLimits};
use crate::delivery::messenger::Messenger;
use crate::delivery::outbox::Draft;
use crate::messages::Message;
use crate::primitives::phone_number::PhoneNumber;
use crate::reminders::Reason;

/// Requests at once.
const IN_FLIGHT: usize = 8;
/// When the network gives up a message that is about no start ahead.
const LATEST: Duration = Duration::from_secs(24 * 3600);
/// How long an answer to a reply may take: to leave, and altogether.
const ANSWER_TIMES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// How long before the start a message expires.
const MARGIN: Duration = Duration::from_secs(1);

/// Sends SMS: the provider, and the settings.
#[derive(Debug)]
pub struct Texter {
    pub(crate) settings: SmsSettings,
    sms: Sms,
}

impl Texter {
    /// Sends through `sms`.
    pub fn new(settings: SmsSettings, sms: Sms) -> Self {
        Self { settings, sms }
    }

    /// Answers somebody who replied, once, before `until`. The receipts of the answer are about no
    /// message of the outbox.
    pub(crate) async fn answer(
        &self,
        answer_id: Uuid,
        to: &PhoneNumber,
        text: &str,
        until: Instant,
    ) -> Outcome {
        let (to_leave, in_all) = ANSWER_TIMES;
        let limits = TimeLimits {
            leave_by: until.min(Instant::now() + to_leave),
            give_up_at: until.min(Instant::now() + in_all),
        };
        self.sms.send(answer_id, to, text, LATEST, limits).await
    }
}

impl Messenger for Texter {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn timing(&self) -> &Timing {
        &self.settings.timing
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    async fn rate(&self) -> f64 {
        self.settings.rate
    }

    /// Receipts come late, or never.
    fn unknown_wait(&self) -> Duration {
        match self.settings.configuration_set {
            Some(_) => self.settings.timing.unknown_wait,
            None => Duration::ZERO,
        }
    }

    fn per_person(&self) -> i64 {
        self.settings.per_person.get().into()
    }

    fn takes_replies(&self, has_links: bool) -> bool {
        let replies = &self.settings.replies;
        replies.topic.is_some()
            && (has_links || replies.contact.is_some())
            && !self.settings.from.is_sender_id()
    }

    /// The provider takes no message that expires sooner.
    fn shortest_lead(&self) -> Duration {
        SHORTEST_LIFE + MARGIN
    }

    async fn send(
        &self,
        event_id: Uuid,
        draft: &Draft,
        message: &Message,
        limits: TimeLimits,
    ) -> Outcome {
        let number = match PhoneNumber::parse(&draft.address) {
            Ok(number) => number,
            Err(error) => {
                return Outcome::Rejected {
                    reason: Reason::BadNumber,
                    error: error.to_string(),
                };
            }
        };
        let expires_in = match draft.starts_in() {
            Some(starts_in) => starts_in.saturating_sub(MARGIN),
            None => LATEST,
        };
        let text = &message.short;
        self.sms
            .send(event_id, &number, text, expires_in, limits)
            .await
    }
}
