//! Amazon SES: sends one message and classifies the answer.

mod envelope;
mod mime;
pub(crate) mod refusals;
pub mod sender;
pub mod settings;

use std::sync::atomic::{AtomicBool, Ordering};

use aws_config::Region;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message as SesMessage, MessageHeader, MessageTag,
    RawMessage,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::channels::aws::{LeaveBy, client_config, outcome_in_time, read_region};
pub(crate) use crate::channels::email::envelope::Envelope;
use crate::channels::email::mime::Mime;
use crate::channels::email::refusals::{classify, is_raw_denied};
use crate::channels::email::settings::EmailSettings;
use crate::channels::timing::Timing;
use crate::channels::{Outcome, TimeLimits};
use crate::messages::Message;
use crate::messages::calendar::Appointment;
use crate::primitives::email_address::Address;
use crate::primitives::settings::SettingError;

/// The message tag that SES returns in its events.
pub(crate) const EVENT_TAG: &str = "event_id";

/// A client of Amazon SES.
#[derive(Debug)]
pub struct Ses {
    region: Region,
    /// Created for the first request: it reads all the system's certificate authorities, the
    /// slowest part of a cold start, and most calls send nothing.
    client: OnceCell<Client>,
    from: String,
    from_address: Address,
    configuration_set: Option<String>,
    timing: Timing,
    /// The role may not send complete mails.
    is_raw_denied: AtomicBool,
}

impl Ses {
    /// Reads the region from the SDK's standard settings. The first request reads the others
    /// (credentials, `AWS_ENDPOINT_URL_SESV2`).
    ///
    /// # Errors
    /// When no region is set.
    pub async fn new(settings: &EmailSettings) -> Result<Self, SettingError> {
        Ok(Self {
            region: read_region("SES").await?,
            client: OnceCell::new(),
            from: settings.from.header(),
            from_address: settings.from.address().clone(),
            configuration_set: settings.configuration_set.clone(),
            timing: settings.timing,
            is_raw_denied: AtomicBool::new(false),
        })
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(async || {
                let config = client_config(self.region.clone(), self.timing);
                Client::new(&config.load().await)
            })
            .await
    }

    /// The account's send rate in messages per second; `None` when SES does not report it.
    pub(crate) async fn send_rate(&self) -> Option<f64> {
        match self.client().await.get_account().send().await {
            Ok(account) => account
                .send_quota()
                .map(|quota| quota.max_send_rate())
                .filter(|rate| *rate > 0.0),
            Err(error) => {
                tracing::warn!(error.code = error.code(), "SES refused GetAccount");
                None
            }
        }
    }

    /// Sends one message, once, within these limits.
    ///
    /// A complete mail needs a permission of its own, which a role from before 0.3.0 lacks. Then
    /// the mail is sent without its appointment: SES refused the first request, so no mail left.
    pub(crate) async fn send(
        &self,
        event_id: Uuid,
        envelope: &Envelope,
        message: &Message,
        limits: TimeLimits,
    ) -> Outcome {
        let send = async |leave_by| self.send_by(event_id, envelope, message, leave_by).await;
        outcome_in_time(limits, send).await
    }

    async fn send_by(
        &self,
        event_id: Uuid,
        envelope: &Envelope,
        message: &Message,
        leave_by: LeaveBy,
    ) -> Outcome {
        let request = async |content| self.request(event_id, envelope, content, &leave_by).await;
        let may_send_raw = !self.is_raw_denied.load(Ordering::Relaxed);
        let mut answer = match message.calendar.as_ref().filter(|_| may_send_raw) {
            Some(appointment) => request(self.raw(envelope, message, appointment)).await,
            None => request(simple(envelope, message)).await,
        };
        if may_send_raw && answer.as_ref().is_err_and(is_raw_denied) {
            if !self.is_raw_denied.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "mails are sent without the appointment until the next start: the role needs \
                     ses:SendRawEmail (or set MAIL_CALENDAR to false)"
                );
            }
            answer = request(simple(envelope, message)).await;
        }
        match answer {
            Ok(message_id) if message_id.is_empty() => Outcome::Unknown {
                error: "the answer has no message id".to_owned(),
            },
            Ok(message_id) => Outcome::Sent {
                message_id: Some(message_id),
                parts: None,
            },
            Err(error) => classify(&error, &self.from_address),
        }
    }

    async fn request(
        &self,
        event_id: Uuid,
        envelope: &Envelope,
        content: Result<EmailContent, BuildError>,
        leave_by: &LeaveBy,
    ) -> Result<String, SdkError<SendEmailError, HttpResponse>> {
        let content = content.map_err(SdkError::construction_failure)?;
        let to = envelope.to.as_str();
        // A complete mail has its own `Reply-To`.
        let reply_to = match content.raw() {
            Some(_) => None,
            None => envelope.reply_to(),
        };
        let tag = MessageTag::builder()
            .name(EVENT_TAG)
            .value(event_id.to_string())
            .build();
        let sent = self
            .client()
            .await
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to).build())
            .set_reply_to_addresses(reply_to)
            .content(content)
            .email_tags(tag.map_err(SdkError::construction_failure)?)
            .set_configuration_set_name(self.configuration_set.clone())
            .customize()
            .interceptor(leave_by.clone())
            .send()
            .await?;
        Ok(sent.message_id().unwrap_or_default().to_owned())
    }

    fn raw(
        &self,
        envelope: &Envelope,
        message: &Message,
        appointment: &Appointment,
    ) -> Result<EmailContent, BuildError> {
        let mail = Mime {
            from: &self.from,
            organizer: &self.from_address,
            envelope,
            message,
            appointment,
        };
        let data = Blob::new(mail.to_string());
        let raw = RawMessage::builder().data(data).build()?;
        Ok(EmailContent::builder().raw(raw).build())
    }
}

/// A mail that SES puts together.
fn simple(envelope: &Envelope, message: &Message) -> Result<EmailContent, BuildError> {
    let utf8 = |data: &str| Content::builder().charset("UTF-8").data(data).build();
    let body = Body::builder()
        .text(utf8(&message.text)?)
        .html(utf8(&message.html)?)
        .build();
    let headers = envelope.headers().into_iter().map(|(name, value)| {
        let header = MessageHeader::builder().name(name).value(value);
        header.build()
    });
    let content = SesMessage::builder()
        .subject(utf8(&message.subject)?)
        .body(body)
        .set_headers(Some(headers.collect::<Result<_, _>>()?))
        .build();
    Ok(EmailContent::builder().simple(content).build())
}
