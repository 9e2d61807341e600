//! A complete mail (RFC 5322, RFC 2045), for what SES's own form of a mail cannot hold: a calendar
//! part that is an alternative to the text (RFC 6047, 2.4). SES adds `Date` and `Message-ID`.
//!
//! It is short because all of it is ASCII that no value can break out of: addresses were parsed,
//! the subject is plain or of encoded words, and each part is in base64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::channels::email::envelope::Envelope;
use crate::channels::email::sender::encoded_words;
use crate::messages::Message;
use crate::messages::calendar::Appointment;
use crate::primitives::email_address::Address;

/// It occurs in no part, since base64 has no `_`.
const BOUNDARY: &str = "=_booking_automation";
/// Characters in a line of base64 (RFC 2045, 6.8).
const LONGEST: usize = 76;

/// What a mail with a calendar part consists of.
pub(super) struct Mime<'a> {
    /// The value of the header.
    pub(super) from: &'a str,
    /// The sender's address.
    pub(super) organizer: &'a Address,
    pub(super) envelope: &'a Envelope,
    pub(super) message: &'a Message,
    /// Of the message.
    pub(super) appointment: &'a Appointment,
}

impl fmt::Display for Mime<'_> {
    fn fmt(&self, mail: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message {
            subject,
            text,
            html,
            ..
        } = self.message;
        let to = &self.envelope.to;
        write!(mail, "From: {}\r\n", folded(self.from))?;
        write!(mail, "To: {}\r\n", to.as_str())?;
        if let Some(address) = &self.envelope.reply_to {
            write!(mail, "Reply-To: {}\r\n", address.as_str())?;
        }
        write!(mail, "Subject: {}\r\n", unstructured(subject))?;
        for (name, value) in self.envelope.headers() {
            write!(mail, "{name}: {value}\r\n")?;
        }
        mail.write_str("MIME-Version: 1.0\r\n")?;
        write!(
            mail,
            "Content-Type: multipart/alternative; boundary=\"{BOUNDARY}\"\r\n\r\n"
        )?;
        // The last one is the best one (RFC 2046, 5.1.4). Line ends of text are CRLF in MIME.
        write_part(mail, "plain", &text.replace('\n', "\r\n"), "")?;
        write_part(mail, "html", &html.replace('\n', "\r\n"), "")?;
        let method = format!("; method={}", self.appointment.method.as_str());
        let calendar = self.appointment.invitation(self.organizer, to);
        write_part(mail, "calendar", &calendar, &method)?;
        write!(mail, "--{BOUNDARY}--\r\n")
    }
}

fn write_part(mail: &mut impl fmt::Write, subtype: &str, text: &str, more: &str) -> fmt::Result {
    write!(
        mail,
        "--{BOUNDARY}\r\nContent-Type: text/{subtype}; charset=UTF-8{more}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    )?;
    let mut encoded = &STANDARD.encode(text)[..];
    while !encoded.is_empty() {
        let (line, rest) = encoded.split_at(encoded.len().min(LONGEST));
        write!(mail, "{line}\r\n")?;
        encoded = rest;
    }
    Ok(())
}

/// The value of a header that is any text.
fn unstructured(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.len() + "Subject: ".len() <= LONGEST
        && !text.contains("=?")
        && text.trim() == text;
    match is_plain {
        true => text.to_owned(),
        false => folded(&encoded_words(text)),
    }
}

/// Each encoded word on a line of its own.
fn folded(value: &str) -> String {
    value.replace("?= ", "?=\r\n ")
}
