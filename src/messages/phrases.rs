//! The facts of a booking in the recipient's language.

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;

use crate::messages::facts::BookingFacts;
use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError, Variable};
use crate::messages::plain_text::{isolated, one_line, without_isolates, without_typography};
use crate::messages::times::{full_time, short_time};
use crate::messages::wording::Wording;
use crate::messages::zones::Zones;

/// The facts of a booking in the recipient's language.
pub(crate) struct Phrases<'a> {
    pub(crate) facts: &'a BookingFacts,
    pub(crate) language: &'static Language,
    kind: KindName,
    wording: &'a Wording,
    pub(crate) zones: Zones,
    /// The recipient's name.
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    /// The other person.
    pub(crate) person: Option<String>,
    /// `None` for a booking online.
    pub(crate) place: Option<String>,
}

impl<'a> Phrases<'a> {
    pub(crate) fn of(
        facts: &'a BookingFacts,
        language: &'static Language,
        kind: KindName,
        wording: &'a Wording,
    ) -> Result<Self, TextError> {
        let name =
            |text: &Option<String>| one_line(text.as_deref()).map(|it| isolated(language, it));
        let place = name(&facts.place).filter(|_| !facts.is_online);
        Ok(Self {
            zones: Zones::of(facts, place.is_some()),
            name: name(&facts.name),
            service: name(&facts.service),
            person: name(&facts.with_name),
            place,
            facts,
            language,
            kind,
            wording,
        })
    }

    /// A text: the owner's own, else that of the language.
    pub(crate) fn text(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        match self
            .wording
            .write(self.kind, self.language, text, variables)
        {
            Some(own) => Ok(own),
            None => self.language.text(text, variables),
        }
    }

    /// A text with what each text of a kind may say: `$service`, `$booking` (the service, and with
    /// whom), `$when` and `$audience`; and with variables of its own.
    pub(crate) fn write(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        let service = match &self.service {
            Some(service) => service.clone(),
            None => self.text("your-booking", &[])?,
        };
        let booking = match &self.person {
            None => service.clone(),
            Some(person) => self.text(
                "booking-with",
                &[
                    ("service", service.as_str().into()),
                    ("person", person.as_str().into()),
                ],
            )?,
        };
        let when = short_time(self.language, self.facts.starts_at, &self.zones.first)?;
        let mut all = vec![
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

    /// A text for an SMS, which a single character outside of its alphabet doubles.
    pub(crate) fn write_short(
        &self,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        Ok(without_typography(&self.write_subject(text, variables)?))
    }

    /// A label and its value: a line of the text.
    pub(crate) fn labelled(&self, label: &str, value: &str) -> Result<String, TextError> {
        let variables = [("label", label.into()), ("value", value.into())];
        self.language.text("labelled", &variables)
    }

    /// A start, with the end: in the first zone, and in the second where there is one.
    pub(crate) fn times(&self, starts_at: DateTime<Utc>) -> Result<Vec<String>, TextError> {
        let time = |zone: &TimeZone| {
            full_time(self.language, starts_at, self.facts.duration_minutes, zone)
        };
        let mut times = vec![time(&self.zones.first)?];
        if let Some(zone) = &self.zones.second {
            let text = match self.zones.second_is_own {
                true => "when-here",
                false => "when-there",
            };
            let when = time(zone)?;
            times.push(self.text(text, &[("when", when.into())])?);
        }
        Ok(times)
    }
}
