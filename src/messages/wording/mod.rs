//! The owner's own wording: rows of `booking_automation_templates`, each in place of a text of the
//! language files. One that is broken counts as if it were not there, and says why.

pub mod parts;
mod template;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError, Variable};
use crate::messages::plain_text::without_typography;
use crate::messages::sms::segments;
use crate::messages::wording::parts::{ALL_KINDS, Part, values};
use crate::messages::wording::template::Template;

/// A row of the table.
#[derive(Clone, Debug)]
pub struct OwnText {
    /// A kind of message, or `all`.
    pub kind: String,
    /// A tag of a language.
    pub language: String,
    /// The name of a part.
    pub part: String,
    /// A pattern of Fluent. `None`: the table has more than is read.
    pub body: Option<String>,
}

/// A row that is not used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenText {
    /// `kind language part`.
    row: String,
    problem: String,
}

impl fmt::Display for BrokenText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.row, self.problem)
    }
}

/// By what a text is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    /// `None`: all kinds.
    kind: Option<KindName>,
    language: &'static str,
    text: &'static str,
}

/// A text that is used.
struct Override {
    /// `kind language part`.
    row: String,
    part: &'static Part,
    language: &'static Language,
    template: Template,
    /// What was wrong when it was written.
    failed: OnceLock<String>,
}

/// What the owner says otherwise.
#[derive(Default)]
pub struct Wording {
    overrides: HashMap<Place, Override>,
    broken: Vec<BrokenText>,
}

impl fmt::Debug for Wording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (texts, broken) = (self.overrides.len(), self.broken.len());
        write!(formatter, "{texts} texts, {broken} broken")
    }
}

impl Wording {
    /// Reads each row.
    pub fn of(rows: impl IntoIterator<Item = OwnText>) -> Self {
        let mut wording = Self::default();
        for row in rows {
            match Override::of(&row) {
                Ok((place, own)) => _ = wording.overrides.insert(place, own),
                Err(problem) => wording.broken.push(BrokenText {
                    row: row.name(),
                    problem,
                }),
            }
        }
        wording
    }

    /// A text: the owner's own, else that of the language.
    pub(crate) fn text(
        &self,
        kind: KindName,
        language: &'static Language,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        match self.write(kind, language, text, variables) {
            Some(own) => Ok(own),
            None => language.text(text, variables),
        }
    }

    /// The owner's text, in this language or else in that of all its regions; in each, the one for
    /// this kind before the one for all kinds. `None`: there is none, or it is broken.
    fn write(
        &self,
        kind: KindName,
        language: &'static Language,
        text: &'static str,
        variables: &[Variable<'_>],
    ) -> Option<String> {
        if self.overrides.is_empty() {
            return None;
        }
        let places = language.and_base().flat_map(|language| {
            [Some(kind), None].map(|kind| Place {
                kind,
                language: language.tag(),
                text,
            })
        });
        places
            .filter_map(|place| self.overrides.get(&place))
            .find_map(|own| own.write(variables))
    }

    /// Writes each text with sample data, so that [`Wording::broken`] knows what is wrong then.
    pub fn try_with_samples(&self) {
        for own in self.overrides.values() {
            for sample in 0..SAMPLES {
                _ = own.write_sample(sample);
            }
        }
    }

    /// The owner's texts for SMS that are used: the row, and the kind and language that it is for.
    pub fn short_texts(&self) -> Vec<(&str, KindName, &'static Language)> {
        let used = (self.overrides.values())
            .filter(|own| own.part.name == SHORT && own.failed.get().is_none());
        let mut texts: Vec<_> = used
            .filter_map(|own| Some((&*own.row, own.part.kind?, own.language)))
            .collect();
        texts.sort_by_key(|(row, ..)| *row);
        texts
    }

    /// The owner's texts within built-in ones for SMS that take these out of the GSM 7-bit
    /// alphabet: the row, and the first character that the alphabet lacks.
    pub fn wide_texts(&self) -> Vec<(&str, char)> {
        let within = (self.overrides.values())
            .filter(|own| WITHIN_SHORT.contains(&own.part.name) && own.language.has_gsm_sms());
        let mut texts: Vec<_> = within
            .filter_map(|own| {
                let text = without_typography(&own.write_sample(0)?);
                Some((&*own.row, segments(&text).wide?))
            })
            .collect();
        texts.sort_unstable();
        texts
    }

    /// The rows that are not used, and those that failed so far.
    pub fn broken(&self) -> Vec<BrokenText> {
        let failed = self.overrides.values().filter_map(|own| {
            Some(BrokenText {
                row: own.row.clone(),
                problem: own.failed.get()?.clone(),
            })
        });
        let mut broken: Vec<_> = failed.chain(self.broken.iter().cloned()).collect();
        broken.sort();
        broken
    }
}

impl OwnText {
    fn name(&self) -> String {
        [&*self.kind, &*self.language, &*self.part].join(" ")
    }
}

impl Override {
    fn of(row: &OwnText) -> Result<(Place, Self), String> {
        let kind = match &*row.kind {
            ALL_KINDS => None,
            name => Some(KindName::from_name(name).ok_or_else(|| {
                let kinds: Vec<_> = KindName::ALL.iter().map(|kind| kind.as_str()).collect();
                let kinds = kinds.join(", ");
                format!("there is no such kind; it is one of {kinds}, {ALL_KINDS}")
            })?),
        };
        let language = Language::tagged(&row.language).ok_or_else(|| {
            let tags: Vec<_> = Language::all().map(Language::tag).collect();
            format!(
                "there is no such language; it is one of {}",
                tags.join(", ")
            )
        })?;
        let part = Part::find(kind, &row.part).ok_or_else(|| {
            let parts: Vec<_> = Part::of(kind).map(|part| part.name).collect();
            format!("there is no such part; it is one of {}", parts.join(", "))
        })?;
        let body = row
            .body
            .as_deref()
            .ok_or("the texts before it are already as many as are read")?;
        let place = Place {
            kind,
            language: language.tag(),
            text: part.text,
        };
        let own = Self {
            row: row.name(),
            part,
            language,
            template: Template::parse(part, body)?,
            failed: OnceLock::new(),
        };
        Ok((place, own))
    }

    /// With names in plain letters.
    fn write_sample(&self, sample: usize) -> Option<String> {
        let variables = self.part.variables.iter();
        let variables = variables.map(|name| (*name, sample_of(name, sample).into()));
        self.write(&variables.collect::<Vec<_>>())
    }

    fn write(&self, variables: &[Variable<'_>]) -> Option<String> {
        match self.template.write(self.language, variables) {
            Ok(text) => Some(text),
            Err(problem) => {
                _ = self.failed.set(problem);
                None
            }
        }
    }
}

/// The part of a message that SMS consist of.
const SHORT: &str = "short";
/// The parts that stand within it.
const WITHIN_SHORT: [&str; 2] = ["your-booking", "booking-with"];
/// Enough for each value of each variable that has few.
const SAMPLES: usize = 10;

/// A value of a variable.
fn sample_of(variable: &'static str, sample: usize) -> &'static str {
    match values(variable) {
        // Each value of the first meets each of the second: one has two of them, the other five.
        Some(values) => values[sample % values.len()],
        None => variable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_a_number_selects_by_plural_forms() {
        let row = OwnText {
            kind: "reminder".to_owned(),
            language: "pl".to_owned(),
            part: "subject".to_owned(),
            body: Some("{ $when ->\n [5] five\n [few] few\n *[other] other\n}".to_owned()),
        };
        let wording = Wording::of([row]);
        let polish = Language::tagged("pl").expect("Polish");
        for (number, expected) in [(1, "other"), (3, "few"), (5, "five"), (22, "few")] {
            let variables = [("when", number.into())];
            let text = wording.write(KindName::Reminder, polish, "reminder-subject", &variables);
            assert_eq!(text.as_deref(), Some(expected), "{number}");
        }
    }
}
