//! The one layout of all messages, as text and as HTML, with the same facts.

use std::slice;

use askama::Template;

use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError};
use crate::messages::phrases::{Phrases, is_safe};
use crate::messages::plain_text::whole_link;
use crate::messages::settings::{Look, MessageSettings};
use crate::messages::zones::iana_names;
use crate::messages::{Draft, ListedDay, Message, RenderError};

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
    look: &'a Look,
}

struct Page {
    language: &'static Language,
    direction: String,
    subject: String,
    /// What a list of mails shows beside the subject.
    preheader: String,
    greeting: String,
    opening: Vec<String>,
    facts: Vec<Fact>,
    /// Whether they will come, or not.
    attendance: Vec<Link>,
    /// How to join, where that is a link.
    join: Option<Link>,
    booking: Option<Link>,
    /// The IANA names of the zones, in small print.
    zones: String,
    /// Where the recipient chooses which messages they get, in small print.
    preferences: Option<Link>,
}

/// A labelled fact, in one line or several.
struct Fact {
    label: String,
    lines: Vec<String>,
    style: Style,
    /// Of a booking of a list: how to join it, whether the customer will come, and its page.
    links: Vec<Link>,
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

/// Puts a message into its layout.
pub(super) fn lay_out(
    phrases: &Phrases<'_>,
    draft: Draft,
    settings: &MessageSettings,
) -> Result<Message, RenderError> {
    let language = phrases.language;
    let zones = phrases.text("time-zones", &[])?;
    let is_about_one = draft.day.is_none();
    let booking = (settings.booking_url(phrases.facts.booking_id)).filter(|_| is_about_one);
    let asks = (phrases.facts.attendance_link.as_deref()).filter(|_| is_about_one);
    let join = phrases.meeting_link().filter(|_| draft.is_ahead);
    let (facts, zone_names) = match &draft.day {
        Some(day) => (facts_of_day(phrases, day, settings)?, day.zones.clone()),
        None => (
            facts(phrases, &draft)?,
            iana_names(slice::from_ref(&phrases.zones)),
        ),
    };
    let page = Page {
        language,
        direction: language.direction()?,
        preheader: preheader(phrases, &draft, &facts),
        greeting: match &phrases.greeted {
            Some(name) => phrases.text("greeting", &[("name", name.as_str().into())])?,
            None => phrases.text("greeting-nameless", &[])?,
        },
        facts,
        attendance: attendance(phrases, asks)?,
        join: Link::new(phrases, "join", join)?,
        booking: Link::new(phrases, "your-booking", booking.clone())?,
        preferences: Link::new(
            phrases,
            "choose-messages",
            phrases.facts.preferences_link.clone(),
        )?,
        zones: phrases.labelled(&zones, &zone_names)?,
        subject: draft.subject,
        opening: paragraphs(&draft.opening),
    };
    let look = &settings.look;
    let lines = page.lines(phrases, look)?;
    Ok(Message {
        text: Text { page: &page, lines }.render()?,
        html: Html { page: &page, look }.render()?,
        subject: page.subject,
        short: draft.short,
        link: booking,
        calendar: None,
    })
}

/// The answers of which a customer chooses one.
fn attendance(phrases: &Phrases<'_>, target: Option<&str>) -> Result<Vec<Link>, TextError> {
    let Some(target) = target else {
        return Ok(Vec::new());
    };
    let answers = [
        ("attend", target.to_owned()),
        ("cannot-attend", format!("{target}/cancel")),
    ];
    let answers = answers.map(|(label, target)| Link::new(phrases, label, Some(target)));
    let answers: Result<Vec<_>, _> = answers.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}

/// The paragraphs of an opening. Only the owner's own texts have more than one.
fn paragraphs(opening: &[String]) -> Vec<String> {
    let lines = opening.iter().flat_map(|text| text.lines().map(str::trim));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The labelled facts of a booking that lies ahead.
pub(super) fn described(phrases: &Phrases<'_>) -> Result<Vec<(String, Vec<String>)>, TextError> {
    let draft = Draft {
        subject: String::new(),
        opening: Vec::new(),
        short: String::new(),
        names_booking: false,
        is_ahead: true,
        moved_from: None,
        day: None,
    };
    let facts = facts(phrases, &draft)?;
    Ok(facts
        .into_iter()
        .map(|fact| (fact.label, fact.lines))
        .collect())
}

/// The labelled facts of a message.
fn facts(phrases: &Phrases<'_>, draft: &Draft) -> Result<Vec<Fact>, TextError> {
    let fact = |label, lines, style| {
        let label = phrases.text(label, &[])?;
        Ok(Fact {
            label,
            lines,
            style,
            links: Vec::new(),
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
    if let Some(link) = phrases.unsafe_link().filter(|_| draft.is_ahead) {
        facts.push(fact("join", vec![link], Style::Plain)?);
    }
    Ok(facts)
}

/// The day, and each of its bookings by its time.
fn facts_of_day(
    phrases: &Phrases<'_>,
    day: &ListedDay,
    settings: &MessageSettings,
) -> Result<Vec<Fact>, TextError> {
    let mut facts = vec![Fact {
        label: phrases.text("when", &[])?,
        lines: day.when.clone(),
        style: Style::Important,
        links: Vec::new(),
    }];
    for listed in &day.bookings {
        let link = whole_link(listed.meeting_link.as_deref()).filter(|_| listed.place.is_none());
        let (safe, unsafe_link) = match link {
            Some(link) if is_safe(&link) => (Some(link), None),
            link => (None, link),
        };
        let mut lines = vec![listed.booking.clone()];
        lines.extend_from_slice(&listed.time_notes);
        lines.extend([listed.place.clone(), unsafe_link].into_iter().flatten());
        // A digest is an overview: it leads to no booking.
        let booking = (settings.booking_url(listed.booking_id))
            .filter(|_| phrases.kind == KindName::GroupedReminder);
        let mut links: Vec<_> = Link::new(phrases, "join", safe)?.into_iter().collect();
        links.extend(attendance(phrases, listed.attendance_link.as_deref())?);
        links.extend(Link::new(phrases, "your-booking", booking)?);
        facts.push(Fact {
            label: listed.time.clone(),
            lines,
            style: Style::Plain,
            links,
        });
    }
    Ok(facts)
}

/// When and where.
fn preheader(phrases: &Phrases<'_>, draft: &Draft, facts: &[Fact]) -> String {
    let when = facts.iter().find(|fact| fact.style == Style::Important);
    let when = when.and_then(|fact| fact.lines.first());
    // Several bookings are at several places.
    let place = phrases.place.as_ref().filter(|_| draft.day.is_none());
    let facts: Vec<_> = [when, place].into_iter().flatten().cloned().collect();
    facts.join(" · ")
}

impl Link {
    fn new(
        phrases: &Phrases<'_>,
        label: &'static str,
        target: Option<String>,
    ) -> Result<Option<Self>, TextError> {
        let label = phrases.text(label, &[])?;
        Ok(target.map(|target| Self { label, target }))
    }
}

impl Page {
    /// The links: the first is a button.
    fn links(&self) -> impl Iterator<Item = &Link> {
        [&self.join, &self.booking].into_iter().flatten()
    }

    fn all_links(&self) -> impl Iterator<Item = &Link> {
        self.attendance.iter().chain(self.links())
    }

    /// The facts of the text, a line each.
    fn lines(&self, phrases: &Phrases<'_>, look: &Look) -> Result<Vec<String>, TextError> {
        let mut lines = Vec::new();
        for fact in &self.facts {
            if let [first, others @ ..] = &fact.lines[..] {
                // So that it is plain to which booking each link belongs.
                if fact.links.len() > 1 {
                    lines.push(String::new());
                }
                lines.push(phrases.labelled(&fact.label, first)?);
                lines.extend_from_slice(others);
                for link in &fact.links {
                    lines.push(phrases.labelled(&link.label, &link.target)?);
                }
            }
        }
        for link in self.all_links() {
            lines.push(phrases.labelled(&link.label, &link.target)?);
        }
        if !look.signature.is_empty() {
            lines.push(String::new());
            lines.extend_from_slice(&look.signature);
        }
        lines.extend([String::new(), self.zones.clone()]);
        if let Some(link) = &self.preferences {
            lines.push(phrases.labelled(&link.label, &link.target)?);
        }
        Ok(lines)
    }
}
