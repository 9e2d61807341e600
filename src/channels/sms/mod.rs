//! SMS through AWS End User Messaging SMS: sends one message and classifies the answer.

pub mod origin;
pub(crate) mod refusals;
pub mod reply_settings;
pub mod settings;
#[cfg(test)]
mod test_endpoint;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_config::Region;
use aws_sdk_pinpointsmsvoicev2::Client;
use aws_sdk_pinpointsmsvoicev2::config::http::HttpResponse;
use aws_sdk_pinpointsmsvoicev2::error::SdkError;
use aws_sdk_pinpointsmsvoicev2::operation::send_text_message::SendTextMessageError;
use aws_sdk_pinpointsmsvoicev2::types::MessageType;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::channels::aws::{LeaveBy, client_config, outcome_in_time, read_region};
use crate::channels::sms::origin::Origin;
use crate::channels::sms::refusals::classify;
use crate::channels::sms::settings::SmsSettings;
use crate::channels::timing::Timing;
use crate::channels::{Outcome, TimeLimits};
use crate::messages::sms::segments;
use crate::primitives::phone_number::PhoneNumber;
use crate::primitives::settings::SettingError;

/// The part of a message's context that AWS returns in its events.
pub(crate) const EVENT_CONTEXT: &str = "event_id";
/// The seconds that `TimeToLive` of the API may have.
const TIME_TO_LIVE: RangeInclusive<u64> = 5..=259_200;
/// The shortest time after which a message may expire.
pub(crate) const SHORTEST_LIFE: Duration = Duration::from_secs(*TIME_TO_LIVE.start());

/// A client of AWS End User Messaging SMS.
#[derive(Debug)]
pub struct Sms {
    region: Region,
    /// Created for the first request: it reads all the system's certificate authorities, the
    /// slowest part of a cold start, and most calls send nothing.
    client: OnceCell<Client>,
    from: Origin,
    configuration_set: Option<String>,
    max_price: Option<String>,
    timing: Timing,
}

impl Sms {
    /// Reads the region from the SDK's standard settings. The first request reads the others
    /// (credentials, `AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2`).
    ///
    /// # Errors
    /// When no region is set.
    pub async fn new(settings: &SmsSettings) -> Result<Self, SettingError> {
        let region = read_region("AWS End User Messaging SMS").await?;
        Ok(Self::in_region(region, settings))
    }

    fn in_region(region: Region, settings: &SmsSettings) -> Self {
        Self {
            region,
            client: OnceCell::new(),
            from: settings.from.clone(),
            configuration_set: settings.configuration_set.clone(),
            max_price: settings.max_price.clone(),
            timing: settings.timing,
        }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(async || {
                let config = client_config(self.region.clone(), self.timing);
                Client::new(&config.load().await)
            })
            .await
    }

    /// Sends one message, once, within these limits. AWS stops trying to hand the message over to
    /// the network after `expires_in`, when the booking starts; the API takes at most three days,
    /// and at least [`SHORTEST_LIFE`]: with less, nothing is sent.
    pub(crate) async fn send(
        &self,
        event_id: Uuid,
        to: &PhoneNumber,
        text: &str,
        expires_in: Duration,
        limits: TimeLimits,
    ) -> Outcome {
        let Some(time_to_live) = time_to_live(expires_in) else {
            return Outcome::Deferred;
        };
        let send = async |leave_by| {
            let answer = self
                .request(event_id, to, text, time_to_live, leave_by)
                .await;
            outcome_of(answer, text)
        };
        outcome_in_time(limits, send).await
    }
    async fn request(
        &self,
        event_id: Uuid,
        to: &PhoneNumber,
        text: &str,
        time_to_live: i32,
        leave_by: LeaveBy,
    ) -> Result<String, SdkError<SendTextMessageError, HttpResponse>> {
        let sent = self
            .client()
            .await
            .send_text_message()
            .destination_phone_number(to.as_str())
            .origination_identity(self.from.as_str())
            .message_body(text)
            .message_type(MessageType::Transactional)
            .set_configuration_set_name(self.configuration_set.clone())
            .set_max_price(self.max_price.clone())
            .time_to_live(time_to_live)
            .context(EVENT_CONTEXT, event_id.to_string())
            .customize()
            .interceptor(leave_by)
            .send()
            .await?;
        Ok(sent.message_id.unwrap_or_default())
    }
}

/// The outcome of a message with this text.
fn outcome_of(
    answer: Result<String, SdkError<SendTextMessageError, HttpResponse>>,
    text: &str,
) -> Outcome {
    match answer {
        Ok(message_id) if message_id.is_empty() => Outcome::Unknown {
            error: "the answer has no message id".to_owned(),
        },
        Ok(message_id) => Outcome::Sent {
            message_id: Some(message_id),
            parts: i32::try_from(segments(text).count).ok(),
        },
        Err(error) => classify(&error),
    }
}

/// The seconds until a message expires, as AWS accepts them; `None`: it expires too soon.
fn time_to_live(expires_in: Duration) -> Option<i32> {
    let seconds = expires_in.as_secs().min(*TIME_TO_LIVE.end());
    let is_enough = TIME_TO_LIVE.contains(&seconds);
    is_enough.then_some(seconds as i32)
}
