//! The facts of a booking in the recipient's language.

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;

use crate::messages::facts::BookingFacts;
use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError, Variable};
use crate::messages::plain_text::{
    holds_link, isolated, one_line, whole_link, without_isolates, without_links,
    without_links_in_gsm, without_typography,
};
use crate::messages::sms::segments;
use crate::messages::times::{full_time, short_time, sms_time};
use crate::messages::wording::Wording;
use crate::messages::zones::{Whose, Zones};

/// The facts of a booking in the recipient's language.
pub(crate) struct Phrases<'a> {
    pub(crate) facts: &'a BookingFacts,
    pub(crate) language: &'static Language,
    pub(crate) kind: KindName,
    wording: &'a Wording,
    pub(crate) zones: Zones,
    /// The recipient's name. One that holds a link is not greeted: "Hello evil.example" would be an
    /// invitation to go there, in a mail from somebody known.
    pub(crate) greeted: Option<String>,
    pub(crate) service: Option<String>,
    /// The other person.
    pub(crate) person: Option<String>,
    /// `None` for a booking online.
    pub(crate) place: Option<String>,
    /// The service, or that it is a booking.
    booked: String,
    /// The same, and with whom.
    pub(crate) booking: String,
    /// The start.
    when: String,
    /// The start, in an SMS.
    when_in_sms: String,
}

impl<'a> Phrases<'a> {
    pub(crate) fn of(
        facts: &'a BookingFacts,
        language: &'static Language,
        kind: KindName,
        wording: &'a Wording,
    ) -> Result<Self, TextError> {
        let name = |text: &Option<String>| {
            one_line(text.as_deref()).map(|line| isolated(language, without_links(&line)))
        };
        let place = name(&facts.place).filter(|_| !facts.is_online);
        let (service, person) = (name(&facts.service), name(&facts.with_name));
        let booked = match &service {
            Some(service) => service.clone(),
            None => wording.text(kind, language, "your-booking", &[])?,
        };
        let booking = booking_with(&booked, person.as_deref(), |variables| {
            wording.text(kind, language, "booking-with", variables)
        })?;
        let zones = match kind {
            KindName::Digest => Zones::of_person(facts),
            _ => Zones::of(facts, place.is_some()),
        };
        Ok(Self {
            when: short_time(language, facts.starts_at, &zones.first)?,
            when_in_sms: sms_time(language, facts.starts_at, &zones.first)?,
            zones,
            greeted: one_line(facts.name.as_deref())
                .filter(|name| !holds_link(name))
                .map(|name| isolated(language, name)),
            service,
            person,
            place,
            booked,
            booking,
            facts,
            language,
            kind,
            wording,
        })
    }

    /// The facts of another booking, in the same message.
    pub(crate) fn of_other(&self, facts: &'a BookingFacts) -> Result<Self, TextError> {
        Self::of(facts, self.language, self.kind, self.wording)
    }

    /// A text: the owner's own, else that of the language.
    pub(crate) fn text(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        self.wording.text(self.kind, self.language, text, variables)
    }

    /// A text with what each text of a kind may say: `$service`, `$booking` (the service, and with
    /// whom), `$when` and `$audience`; and with variables of its own.
    pub(crate) fn write(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        self.write_about([&self.booked, &self.booking, &self.when], text, variables)
    }

    /// The same, with this `$service`, `$booking` and `$when`.
    fn write_about(
        &self,
        [service, booking, when]: [&str; 3],
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        let mut all: Vec<Variable<'_>> = vec![
            ("service", service.into()),
            ("booking", booking.into()),
            ("when", when.into()),
            ("audience", self.facts.audience.as_str().into()),
        ];
        all.extend_from_slice(variables);
        self.text(text, &all)
    }

    /// A text for where characters that isolate names are shown as boxes.
    pub(crate) fn write_subject(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        Ok(without_isolates(&self.write(text, variables)?))
    }

    /// A text for an SMS, which a single character outside of its alphabet doubles. Its variables
    /// are written for an SMS, as its `$when` is.
    pub(crate) fn write_short(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        let [service, booking] = self.names_in_sms()?;
        let about = [&*service, &*booking, &*self.when_in_sms];
        let text = self.write_about(about, text, variables)?;
        Ok(without_typography(&without_isolates(&text)))
    }

    /// An SMS that also asks, in a line of its own, whether the customer will come, if they can
    /// answer it and that makes no further segment.
    pub(crate) fn with_question(&self, short: String) -> Result<String, TextError> {
        if !self.facts.asks_reply {
            return Ok(short);
        }
        let question = self.language.text("attendance-question-sms", &[])?;
        let asking = format!("{short}\n{}", without_typography(&question));
        let is_as_long = segments(&asking).count == segments(&short).count;
        Ok(if is_as_long { asking } else { short })
    }

    /// `$service` and `$booking` of an SMS. Names make no links in it, either.
    fn names_in_sms(&self) -> Result<[String; 2], TextError> {
        if !self.language.has_gsm_sms() {
            return Ok([self.booked.clone(), self.booking.clone()]);
        }
        let name = |text: &Option<String>| {
            one_line(text.as_deref()).map(|line| without_links_in_gsm(&line))
        };
        let service = match name(&self.facts.service) {
            Some(service) => service,
            None => self.booked.clone(),
        };
        let person = name(&self.facts.with_name);
        let booking = booking_with(&service, person.as_deref(), |variables| {
            self.text("booking-with", variables)
        })?;
        Ok([service, booking])
    }

    /// The page to join a booking that is online, or at no known place.
    pub(crate) fn meeting_link(&self) -> Option<String> {
        self.link().filter(|link| is_safe(link))
    }

    /// The same, of what is no link to a page (`javascript:`, `data:`): it is shown as text.
    pub(crate) fn unsafe_link(&self) -> Option<String> {
        self.link().filter(|link| !is_safe(link))
    }

    fn link(&self) -> Option<String> {
        whole_link(self.facts.meeting_link.as_deref()).filter(|_| self.place.is_none())
    }

    /// A label and its value: a line of the text.
    pub(crate) fn labelled(&self, label: &str, value: &str) -> Result<String, TextError> {
        let variables = [("label", label.into()), ("value", value.into())];
        self.language.text("labelled", &variables)
    }

    /// A time in the second zone, and whose that is.
    pub(crate) fn in_second_zone(&self, zones: &Zones, when: String) -> Result<String, TextError> {
        let text = match zones.second_is_of {
            Whose::Recipient => "when-here",
            Whose::OtherPerson => "when-there",
            Whose::Unsaid => return Ok(when),
        };
        self.text(text, &[("when", when.into())])
    }

    /// A start, with the end: in the first zone, and in the second where there is one.
    pub(crate) fn times(&self, starts_at: DateTime<Utc>) -> Result<Vec<String>, TextError> {
        let time = |zone: &TimeZone| {
            full_time(self.language, starts_at, self.facts.duration_minutes, zone)
        };
        let mut times = vec![time(&self.zones.first)?];
        if let Some(zone) = &self.zones.second {
            times.push(self.in_second_zone(&self.zones, time(zone)?)?);
        }
        Ok(times)
    }
}

/// What is booked, and with whom where that is known.
fn booking_with(
    booked: &str,
    person: Option<&str>,
    write: impl Fn(&[Variable<'_>]) -> Result<String, TextError>,
) -> Result<String, TextError> {
    match person {
        None => Ok(booked.to_owned()),
        Some(person) => write(&[("service", booked.into()), ("person", person.into())]),
    }
}

pub(crate) fn is_safe(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}
