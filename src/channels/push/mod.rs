//! Push messages through Firebase Cloud Messaging (FCM v1): sends one message to the devices of a
//! person, and classifies the answers.
//!
//! FCM has no idempotency key. A message that is sent again takes the place of the first one on
//! the lock screen, since both have the booking's collapse key. The outbox decides on retries.

mod access_token;
mod answers;
mod message;
pub mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderValue, Request, Response, Uri};
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::Full;
use tokio::time::timeout_at;

use crate::channels::http_client::{Connection, HttpClient, PROGRAM};
use crate::channels::push::access_token::AccessTokens;
pub(crate) use crate::channels::push::answers::DeviceOutcome;
use crate::channels::push::answers::{classify, refuses_access};
pub(crate) use crate::channels::push::message::PushMessage;
use crate::channels::push::settings::PushSettings;
use crate::channels::timing::Timing;
use crate::channels::webhook::egress::Egress;
use crate::channels::{Outcome, TimeLimits};
use crate::primitives::errors::error_chain;
use crate::reminders::Reason;

/// Devices of a person that get a message, at most: the first ones.
const MOST_DEVICES: usize = 20;
/// Devices of a person that are sent to at the same time.
const DEVICES_AT_ONCE: usize = 4;
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A client of FCM.
pub(crate) struct Push {
    http: HttpClient,
    access: AccessTokens,
    /// Where messages go.
    messages: Uri,
    /// `connect` is the time for the access token and the connection together, `request` that for
    /// the answer.
    timing: Timing,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

/// The outcome of one message to all devices of a person.
#[derive(PartialEq, Eq)]
pub(crate) struct PushOutcome<'a> {
    pub(crate) outcome: Outcome,
    /// The tokens of devices that have the app no more. They are to be forgotten.
    pub(crate) gone: Vec<&'a str>,
    /// How long FCM asks to wait before the next message.
    pub(crate) retry_after: Option<Duration>,
}

impl fmt::Debug for PushOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushOutcome")
            .field("outcome", &self.outcome)
            .field("gone", &self.gone.len())
            .field("retry_after", &self.retry_after)
            .finish()
    }
}

impl Push {
    /// A client of the account in the settings. The hosts that the settings name may have any
    /// address: a private network can have its own way to Google.
    pub(crate) fn new(settings: &PushSettings) -> Self {
        let hosts = [&settings.messages, &settings.account.token_uri];
        let hosts = hosts.iter().filter_map(|uri| uri.host());
        let hosts = hosts.map(str::to_owned).collect();
        // So that there is time for a second address.
        let egress = Egress::new(hosts, settings.timing.connect / 2);
        Self {
            http: HttpClient::new(egress),
            access: AccessTokens::new(settings),
            messages: settings.messages.clone(),
            timing: settings.timing,
        }
    }

    /// Sends one message to the devices of a person. They are one recipient, so that the message
    /// has one outcome: the first line that is true of any device.
    ///
    /// | of any device | the message | because |
    /// |---|---|---|
    /// | sent | is sent | the person has it |
    /// | unknown | is unknown | the person may have it |
    /// | account-wide | is held back with the account | no device is at fault |
    /// | not sent | is tried again | it can still arrive |
    /// | deferred | is deferred | the same, and no attempt counts |
    /// | rejected | is rejected | no try can succeed, another channel can |
    ///
    /// A device without its turn before `leave_by` is deferred, so that a message that is sent may
    /// be missing on some of them. At `give_up_at`, a device that has not answered is unknown, and
    /// the others have their outcomes. Of the reasons of rejections, that of the message comes
    /// before those of devices.
    pub(crate) async fn send<'a>(
        &self,
        tokens: &[&'a str],
        message: &PushMessage<'_>,
        limits: TimeLimits,
    ) -> PushOutcome<'a> {
        let tokens = &tokens[..tokens.len().min(MOST_DEVICES)];
        let placed = tokens.iter().copied().enumerate();
        // Collected, since the compiler cannot see that a closure in a stream may move between
        // threads.
        let sending: Vec<_> = placed
            .map(|(place, token)| async move {
                let outcome = self.send_to(token, message, limits).await;
                (place, token, outcome)
            })
            .collect();
        let mut outcomes: Vec<_> = stream::iter(sending)
            .buffer_unordered(DEVICES_AT_ONCE)
            .collect()
            .await;
        outcomes.sort_by_key(|(place, ..)| *place);
        let outcomes = outcomes.into_iter();
        together(outcomes.map(|(_, token, outcome)| (token, outcome)))
    }

    /// Sends one message to one device, once, within these limits.
    pub(crate) async fn send_to(
        &self,
        token: &str,
        message: &PushMessage<'_>,
        limits: TimeLimits,
    ) -> DeviceOutcome {
        let answer = self.request(token, message, limits).await;
        answer.map_or_else(DeviceOutcome::from, |answer| {
            classify(&answer, token, message.now())
        })
    }

    /// The answer of FCM, or what its absence means.
    async fn request(
        &self,
        token: &str,
        message: &PushMessage<'_>,
        limits: TimeLimits,
    ) -> Result<Response<Bytes>, Outcome> {
        let body = message.request_body(token).ok_or_else(too_long)?;
        in_time(limits.leave_by)?;
        let (authorization, connection) = self.prepare(message, limits.give_up_at).await?;
        let request = self.post(body, &authorization)?;
        in_time(limits.leave_by)?;
        // From here on, a lost answer leaves a doubt.
        let unknown = |error| Outcome::Unknown { error };
        let until = (Instant::now() + self.timing.request).min(limits.give_up_at);
        let answering = connection.send(request, LONGEST_ANSWER);
        let answer = timeout_at(until.into(), answering)
            .await
            .map_err(|_| unknown("no answer in time".to_owned()))?
            .map_err(|error| unknown(error_chain(&error)))?;
        if refuses_access(&answer) {
            self.access.discard(&authorization);
        }
        Ok(answer)
    }

    /// Gets an access token and a connection. A failure leaves no doubt: no message was sent.
    async fn prepare(
        &self,
        message: &PushMessage<'_>,
        give_up_at: Instant,
    ) -> Result<(HeaderValue, Connection), Outcome> {
        let enough = Instant::now() + self.timing.connect;
        let preparing = async {
            let authorization = self.access.authorization(&self.http, message.now()).await?;
            let connection = self.http.connect(&self.messages).await;
            let connection = connection.map_err(|error| unreachable(error_chain(&*error)))?;
            Ok((authorization, connection))
        };
        match timeout_at(enough.min(give_up_at).into(), preparing).await {
            Ok(prepared) => prepared,
            Err(_) if enough <= give_up_at => Err(unreachable(
                "no access token and connection in time".to_owned(),
            )),
            Err(_) => Err(Outcome::Deferred),
        }
    }

    fn post(
        &self,
        body: Bytes,
        authorization: &HeaderValue,
    ) -> Result<Request<Full<Bytes>>, Outcome> {
        Request::post(self.messages.clone())
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, PROGRAM)
            .body(Full::from(body))
            .map_err(|_| unreachable("the URL cannot be called".to_owned()))
    }
}

/// Whether a request may still leave.
fn in_time(leave_by: Instant) -> Result<(), Outcome> {
    match Instant::now() < leave_by {
        true => Ok(()),
        false => Err(Outcome::Deferred),
    }
}

fn unreachable(error: String) -> Outcome {
    Outcome::NotSent {
        reason: Reason::Unreachable,
        error,
    }
}

fn too_long() -> Outcome {
    Outcome::Rejected {
        reason: Reason::Template,
        error: "the message is too long even without its text".to_owned(),
    }
}

/// The outcome of a message, by the table of [`Push::send`]. Of equal ones, the first counts. A
/// person without devices is one whose devices are gone.
fn together<'a>(outcomes: impl Iterator<Item = (&'a str, DeviceOutcome)>) -> PushOutcome<'a> {
    let mut message = PushOutcome {
        outcome: Outcome::Rejected {
            reason: Reason::NoDevice,
            error: "there is no device".to_owned(),
        },
        gone: Vec::new(),
        retry_after: None,
    };
    for (place, (token, device)) in outcomes.enumerate() {
        message.gone.extend(device.is_gone.then_some(token));
        message.retry_after = message.retry_after.max(device.retry_after);
        if place == 0 || line_of(&device.outcome) < line_of(&message.outcome) {
            message.outcome = device.outcome;
        }
    }
    message
}

/// The line of an outcome in the table of [`Push::send`].
fn line_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Sent { .. } => 0,
        Outcome::Unknown { .. } => 1,
        Outcome::AccountWide { .. } => 2,
        Outcome::NotSent { .. } => 3,
        Outcome::Deferred => 4,
        Outcome::Rejected { reason, .. } => match reason {
            Reason::NoDevice => 7,
            Reason::OtherSender => 6,
            _ => 5,
        },
    }
}
