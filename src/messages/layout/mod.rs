//! The one layout of all messages, as text and as HTML, with the same facts.

use askama::Template;

use crate::messages::languages::{Language, TextError};
use crate::messages::phrases::Phrases;
use crate::messages::plain_text::whole_link;
use crate::messages::settings::MessageSettings;
use crate::messages::{Draft, Message, RenderError};

#[derive(Template)]
#[template(path = "layout/layout.txt")]
struct Text<'a> {
    page: &'a Page,
    lines: Vec<String>,
}

#[derive(Template)]
#[template(path = "layout/layout.html")]
struct Html<'a> {
    page: &'a Page,
}

struct Page {
    language: &'static Language,
    direction: String,
    subject: String,
    greeting: String,
    opening: Vec<String>,
    facts: Vec<Fact>,
    meeting_link: Option<Link>,
    booking_link: Option<Link>,
    /// The IANA names of the zones, in small print.
    zones: String,
}

/// A labelled fact, in one line or several.
struct Fact {
    label: String,
    lines: Vec<String>,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Important,
    /// What is no longer true.
    Struck,
}

struct Link {
    label: String,
    target: String,
}

impl Link {
    /// Any other link (`javascript:`, `data:`) is shown as text.
    fn is_safe(&self) -> bool {
        self.target.starts_with("https://") || self.target.starts_with("http://")
    }
}

/// Puts a message into its layout.
pub(super) fn lay_out(
    phrases: &Phrases<'_>,
    draft: Draft,
    settings: &MessageSettings,
) -> Result<Message, RenderError> {
    let language = phrases.language;
    let zones = phrases.text("time-zones", &[])?;
    let page = Page {
        language,
        direction: language.direction()?,
        greeting: match &phrases.name {
            Some(name) => phrases.text("greeting", &[("name", name.as_str().into())])?,
            None => phrases.text("greeting-nameless", &[])?,
        },
        facts: facts(phrases, &draft)?,
        meeting_link: match meeting_link(phrases, &draft) {
            Some(link) => Some(Link::new(phrases, "join", link)?),
            None => None,
        },
        booking_link: match &settings.public_url {
            Some(base) => {
                let link = format!("{base}/bookings/{}", phrases.facts.booking_id);
                Some(Link::new(phrases, "your-booking", link)?)
            }
            None => None,
        },
        zones: phrases.labelled(&zones, &phrases.zones.iana_names())?,
        subject: draft.subject,
        opening: paragraphs(&draft.opening),
    };
    let lines = page.lines(phrases)?;
    Ok(Message {
        text: Text { page: &page, lines }.render()?,
        html: Html { page: &page }.render()?,
        subject: page.subject,
        short: draft.short,
    })
}

/// The paragraphs of an opening. Only the owner's own texts have more than one.
fn paragraphs(opening: &[String]) -> Vec<String> {
    let lines = opening.iter().flat_map(|text| text.lines().map(str::trim));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The labelled facts of a message.
fn facts(phrases: &Phrases<'_>, draft: &Draft) -> Result<Vec<Fact>, TextError> {
    let fact = |label, lines, style| {
        let label = phrases.text(label, &[])?;
        Ok(Fact {
            label,
            lines,
            style,
        })
    };
    let mut facts = Vec::new();
    if !draft.names_booking {
        for (label, value) in [("service", &phrases.service), ("with", &phrases.person)] {
            if let Some(value) = value {
                facts.push(fact(label, vec![value.clone()], Style::Plain)?);
            }
        }
    }
    if let Some(before) = draft.moved_from {
        facts.push(fact("before", phrases.times(before)?, Style::Struck)?);
    }
    let mut when = phrases.times(phrases.facts.starts_at)?;
    if draft.is_ahead && phrases.zones.clocks_change(phrases.facts) {
        when.insert(1, phrases.text("clocks-change", &[])?);
    }
    facts.push(fact("when", when, Style::Important)?);
    if let Some(place) = &phrases.place {
        facts.push(fact("where", vec![place.clone()], Style::Plain)?);
    }
    Ok(facts)
}

/// How to join a booking that is online, or at no known place.
fn meeting_link(phrases: &Phrases<'_>, draft: &Draft) -> Option<String> {
    let is_shown = draft.is_ahead && phrases.place.is_none();
    whole_link(phrases.facts.meeting_link.as_deref()).filter(|_| is_shown)
}

impl Link {
    fn new(phrases: &Phrases<'_>, label: &'static str, target: String) -> Result<Self, TextError> {
        let label = phrases.text(label, &[])?;
        Ok(Self { label, target })
    }
}

impl Page {
    /// The facts of the text, a line each.
    fn lines(&self, phrases: &Phrases<'_>) -> Result<Vec<String>, TextError> {
        let mut lines = Vec::new();
        for fact in &self.facts {
            if let [first, others @ ..] = &fact.lines[..] {
                lines.push(phrases.labelled(&fact.label, first)?);
                lines.extend_from_slice(others);
            }
        }
        for link in [&self.meeting_link, &self.booking_link]
            .into_iter()
            .flatten()
        {
            lines.push(phrases.labelled(&link.label, &link.target)?);
        }
        lines.extend([String::new(), self.zones.clone()]);
        Ok(lines)
    }
}
