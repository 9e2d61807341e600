//! `/a/{token}`: a customer says that they will come. `/a/{token}/cancel`: they cannot, see what is
//! refunded, and cancel.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bookings::customer_cancellation::{cancel_by_customer, customer_refund};
use crate::bookings::status_change::StatusError;
use crate::database::{DatabaseError, Transaction};
use crate::delivery::invitation::{Invitation, read_invitation};
use crate::http::clock::read_clock;
use crate::http::places::Place;
use crate::http::public::page::{Page, PageError, Trouble};
use crate::http::public::{Public, Token, Visit, begin, language_of, unavailable, visit};
use crate::messages::describe;
use crate::messages::facts::RefundFacts;
use crate::messages::languages::Language;
use crate::people::attendance::{read_attendance, store_attendance};
use crate::people::links::Purpose;

#[derive(Template)]
#[template(path = "attendance.html")]
struct Html<'a> {
    page: &'a Booking,
}

/// What a page shows of a booking, and asks.
#[derive(Default)]
struct Booking {
    facts: Vec<(String, Vec<String>)>,
    /// The start that was shown, and the text of the button for those who will come.
    attend: Option<(String, String)>,
    /// Where those go who will not, and the text of that link.
    to_cancel: Option<(String, String)>,
    /// What was shown, and the text of the button that cancels.
    cancel: Option<(String, String)>,
}

/// Why a visit ends without the page that it is for.
enum Stop {
    Trouble(Trouble),
    Database(DatabaseError),
}

impl From<DatabaseError> for Stop {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<StatusError> for Stop {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::NoBooking | StatusError::NotAllowed(_) => Self::Trouble(Trouble::Over),
            // No rule of the owner's refused it.
            StatusError::Database(error) if error.is_too_slow() || !error.is_of_contents() => {
                Self::Database(error)
            }
            error => {
                tracing::warn!("a customer could not cancel a booking by a link: {error}");
                Self::Trouble(Trouble::CannotCancel)
            }
        }
    }
}

/// A page, in parts.
struct Shown {
    language: &'static Language,
    title: &'static str,
    notice: Option<&'static str>,
    invitation: Invitation,
    /// As the trail has it.
    refund: Option<Value>,
    step: Step,
}

/// What a page asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Attend,
    Cancel,
    /// Nothing more.
    Done,
}

pub(super) async fn attend(
    State(public): State<Arc<Public>>,
    token: Token,
    request: Request,
) -> Response {
    let name = last_part(&token);
    let visit = match visit(&public, Purpose::Attendance, token, request).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let shown = match visit.form.as_ref().map(|form| form.value("answer")) {
        None => attend_page(&public, &visit, None).await,
        Some(Some("attend")) => match attend_as_shown(&public, &visit).await {
            // Nothing was written: the start is shown anew.
            Ok(None) => attend_page(&public, &visit, Some("terms-changed")).await,
            Ok(Some(shown)) => Ok(shown),
            Err(stop) => Err(stop),
        },
        Some(_) => Err(Stop::Trouble(Trouble::Unreadable)),
    };
    visit.answer(respond(&public, &visit, shown, &name))
}

pub(super) async fn cancel(
    State(public): State<Arc<Public>>,
    token: Token,
    request: Request,
) -> Response {
    let visit = match visit(&public, Purpose::Attendance, token, request).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let shown = match visit.form.as_ref().map(|form| form.value("terms")) {
        None => terms_page(&public, &visit, None).await,
        Some(Some(terms)) => match cancel_as_shown(&public, &visit, terms).await {
            // Nothing was written: the terms are shown anew.
            Ok(None) => terms_page(&public, &visit, Some("terms-changed")).await,
            Ok(Some(shown)) => Ok(shown),
            Err(stop) => Err(stop),
        },
        Some(None) => Err(Stop::Trouble(Trouble::Unreadable)),
    };
    visit.answer(respond(&public, &visit, shown, ""))
}

/// The token, for a link relative to this page.
fn last_part(token: &Token) -> String {
    (token.as_ref()).map_or_else(|_| String::new(), |path| path.0.clone())
}

fn respond(public: &Public, visit: &Visit, shown: Result<Shown, Stop>, token: &str) -> Response {
    match shown {
        Ok(shown) => public.look.show(StatusCode::OK, shown.page(token)),
        Err(Stop::Trouble(trouble)) => public.look.trouble(trouble, visit.link.language()),
        Err(Stop::Database(error)) => unavailable(public, &visit.link, &error),
    }
}

/// What a visit works with, once its booking was read.
struct Opened {
    transaction: Transaction,
    /// Kept until the transaction has ended.
    _place: Place,
    as_of: DateTime<Utc>,
    language: &'static Language,
    booking_id: Uuid,
    invitation: Invitation,
}

/// Begins a transaction and reads the booking, which must still be ahead, confirmed and the
/// person's own.
async fn open(public: &Public, visit: &Visit, read_only: bool) -> Result<Opened, Stop> {
    let Ok(place) = public.places.take(visit.deadline).await else {
        return Err(Stop::Trouble(Trouble::Unavailable));
    };
    let broken = || Stop::Trouble(Trouble::Broken);
    let begun = begin(public, visit, read_only).await?;
    let (transaction, preferences) = begun.ok_or_else(broken)?;
    let booking_id = visit.link.booking.ok_or_else(broken)?;
    let as_of = read_clock(&transaction, public.as_of).await?;
    let invitation = read_invitation(&transaction, booking_id, as_of).await?;
    let is_own = |invitation: &Invitation| invitation.person_id == visit.link.person;
    let Some(mut invitation) = invitation.filter(is_own) else {
        transaction.rollback().await?;
        return Err(Stop::Trouble(Trouble::Over));
    };
    let zone = &mut invitation.facts.timezone;
    *zone = preferences.timezone.clone().or(zone.take());
    Ok(Opened {
        _place: place,
        transaction,
        as_of,
        language: language_of(public, &visit.link, &preferences),
        booking_id,
        invitation,
    })
}

/// Shows the question, or that it was answered.
async fn attend_page(
    public: &Public,
    visit: &Visit,
    notice: Option<&'static str>,
) -> Result<Shown, Stop> {
    let opened = open(public, visit, true).await?;
    let answer = read_attendance(&opened.transaction, opened.booking_id).await?;
    opened.transaction.rollback().await?;
    let starts_at = Some(opened.invitation.facts.starts_at);
    let is_stored = answer.is_some_and(|answer| answer.starts_at == starts_at);
    Ok(Shown {
        language: opened.language,
        title: "attendance-question",
        notice: notice.or(is_stored.then_some("attendance-saved")),
        invitation: opened.invitation,
        refund: None,
        step: Step::Attend,
    })
}

/// Stores the answer, if the start is the one that was shown. `None`: it is not, and nothing was
/// written.
async fn attend_as_shown(public: &Public, visit: &Visit) -> Result<Option<Shown>, Stop> {
    let opened = open(public, visit, false).await?;
    let (transaction, person) = (opened.transaction, &visit.link.person);
    let starts_at = opened.invitation.facts.starts_at;
    let shown = visit.form.as_ref().and_then(|form| form.value("start"));
    let is_stored = shown == Some(start_as_shown(starts_at).as_str())
        && store_attendance(
            &transaction,
            opened.booking_id,
            person,
            starts_at,
            opened.as_of,
        )
        .await?;
    if !is_stored {
        transaction.rollback().await?;
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(Some(Shown {
        language: opened.language,
        title: "attendance-question",
        notice: Some("attendance-saved"),
        invitation: opened.invitation,
        refund: None,
        step: Step::Attend,
    }))
}

/// A start as the form of its page sends it back.
fn start_as_shown(starts_at: DateTime<Utc>) -> String {
    starts_at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Shows what is refunded.
async fn terms_page(
    public: &Public,
    visit: &Visit,
    notice: Option<&'static str>,
) -> Result<Shown, Stop> {
    let opened = open(public, visit, true).await?;
    let money = public.automation.settings().money;
    let (transaction, as_of) = (&opened.transaction, opened.as_of);
    let refund = customer_refund(transaction, money, as_of, opened.booking_id).await;
    opened.transaction.rollback().await?;
    Ok(Shown {
        language: opened.language,
        title: "cancel-question",
        notice,
        invitation: opened.invitation,
        refund: Some(refund?),
        step: Step::Cancel,
    })
}

/// Cancels the booking, if start, refund and customer are those that were shown. `None`: they are
/// not, and nothing was written.
async fn cancel_as_shown(
    public: &Public,
    visit: &Visit,
    terms: &str,
) -> Result<Option<Shown>, Stop> {
    let opened = open(public, visit, false).await?;
    let settings = public.automation.settings();
    let (transaction, invitation) = (opened.transaction, opened.invitation);
    let cancelled = cancel_by_customer(
        &transaction,
        &settings.transitions,
        settings.money,
        opened.as_of,
        opened.booking_id,
        &invitation.customer_id,
    )
    .await;
    let cancelled = match cancelled {
        Ok(cancelled) => cancelled,
        Err(error) => {
            let _ = transaction.rollback().await;
            return Err(error.into());
        }
    };
    let found = cancelled
        .starts_at
        .map(|starts_at| digest_of_terms(starts_at, cancelled.refund.as_ref()));
    if found.as_deref() != Some(terms) || cancelled.customer_id != invitation.customer_id {
        transaction.rollback().await?;
        return Ok(None);
    }
    transaction.commit().await?;
    tracing::info!(booking.id = %opened.booking_id, "a customer cancelled a booking by a link");
    Ok(Some(Shown {
        language: opened.language,
        title: "booking-cancelled",
        notice: None,
        invitation,
        refund: cancelled.refund,
        step: Step::Done,
    }))
}

/// What a customer was shown. It proves nothing: the sender of it agrees to it.
fn digest_of_terms(starts_at: DateTime<Utc>, refund: Option<&Value>) -> String {
    let member = |name: &str| refund.and_then(|refund| refund.get(name));
    let refund = ["percent", "total", "amount", "currency", "unit"].map(member);
    let terms = json!([starts_at, refund]).to_string();
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(terms))
}

impl Shown {
    fn page(self, token: &str) -> Result<Page, PageError> {
        let language = self.language;
        let text = |name| language.text(name, &[]);
        let refund: Option<RefundFacts> =
            (self.refund.clone()).and_then(|refund| serde_json::from_value(refund).ok());
        let described = describe(&self.invitation.facts, language, refund.as_ref())?;
        let mut booking = Booking {
            facts: described.facts,
            ..Booking::default()
        };
        match self.step {
            Step::Attend => {
                if self.notice != Some("attendance-saved") {
                    let start = start_as_shown(self.invitation.facts.starts_at);
                    booking.attend = Some((start, text("attend")?));
                }
                booking.to_cancel = Some((format!("{token}/cancel"), text("cannot-attend")?));
            }
            Step::Cancel => {
                let starts_at = self.invitation.facts.starts_at;
                let terms = digest_of_terms(starts_at, self.refund.as_ref());
                booking.cancel = Some((terms, text("cancel-booking")?));
            }
            Step::Done => {}
        }
        let notice = self.notice.map(text).transpose()?;
        let mut page = Page::new(language, self.title)?.with_notice(notice);
        if let Some(refund) = described.refund {
            page = page.with_text(refund);
        }
        let content = Html { page: &booking }.render()?;
        Ok(page.with_content(content))
    }
}
