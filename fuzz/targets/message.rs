//! Messages of each kind with hostile names, links, time zones and times. A subject is one line; a name adds no tag, no link and no
//! line, and no property to an appointment.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use booking_automation::messages::facts::{
    BookingFacts, Canceller, DayFacts, MoneyUnit, RefundFacts,
};
use booking_automation::messages::languages::Language;
use booking_automation::messages::settings::{Look, MessageSettings};
use booking_automation::messages::wording::Wording;
use booking_automation::messages::{Kind, Message, render};
use booking_automation::primitives::email_address::Address;
use chrono::DateTime;
use jiff::tz::TimeZoneDatabase;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const BASE: &str = "https://studio.example/app";

/// Values that the user's tables may contain.
#[derive(Arbitrary, Debug)]
struct Row<'a> {
    starts_at: Start,
    starts_in: u32,
    duration_minutes: Option<i32>,
    timezone: Zone<'a>,
    place_timezone: Zone<'a>,
    language: Tag<'a>,
    is_online: bool,
    linked: bool,
    link: Scheme,
    meeting_link: Option<&'a str>,
    name: Option<&'a str>,
    service: Option<&'a str>,
    with_name: Option<&'a str>,
    place: Option<&'a str>,
    kind: AnyKind<'a>,
}

#[derive(Arbitrary, Debug)]
enum AnyKind<'a> {
    Reminder,
    GroupedReminder,
    Confirmed,
    Rescheduled(Option<i64>),
    Cancelled(Option<bool>, Option<Refund<'a>>),
    Expired,
    FollowUp,
    Digest(u8),
}

/// What the trail may contain.
#[derive(Arbitrary, Debug)]
struct Refund<'a> {
    is_minor: Option<bool>,
    percent: &'a str,
    total: Option<&'a str>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
}

impl AnyKind<'_> {
    fn kind(&self, facts: &BookingFacts) -> Kind {
        match self {
            Self::Reminder => Kind::Reminder,
            Self::GroupedReminder => Kind::GroupedReminder(day_of(facts, 0)),
            Self::Confirmed => Kind::Confirmed,
            Self::Rescheduled(from) => Kind::Rescheduled {
                from: from.and_then(|from| DateTime::from_timestamp(from % (1 << 43), 0)),
            },
            Self::Cancelled(by, refund) => Kind::Cancelled {
                by: by.map(|by| {
                    if by {
                        Canceller::Customer
                    } else {
                        Canceller::Business
                    }
                }),
                refund: refund.as_ref().map(|refund| RefundFacts {
                    percent: refund.percent.to_owned(),
                    total: refund.total.map(str::to_owned),
                    amount: refund.amount.map(str::to_owned),
                    currency: refund.currency.map(str::to_owned),
                    unit: refund.is_minor.map(|is_minor| {
                        if is_minor {
                            MoneyUnit::Minor
                        } else {
                            MoneyUnit::Major
                        }
                    }),
                }),
            },
            Self::Expired => Kind::Expired,
            Self::FollowUp => Kind::FollowUp,
            Self::Digest(others) => Kind::Digest(day_of(facts, usize::from(*others))),
        }
    }
}

/// A day with two bookings, and others that are not listed.
fn day_of(facts: &BookingFacts, others: usize) -> DayFacts {
    DayFacts {
        date: facts.starts_at.date_naive(),
        bookings: vec![facts.clone(), facts.clone()],
        others,
    }
}

#[derive(Arbitrary, Debug)]
enum Start {
    Soon(u32),
    Anywhere(i64),
}

#[derive(Arbitrary, Debug)]
enum Zone<'a> {
    None,
    Known(u16),
    Raw(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Tag<'a> {
    None,
    Known(u8),
    Raw(&'a str),
}

impl Tag<'_> {
    fn tag(&self) -> Option<String> {
        let known: Vec<_> = Language::all().map(Language::tag).collect();
        match self {
            Self::None => None,
            Self::Known(index) => Some(known[usize::from(*index) % known.len()].to_owned()),
            Self::Raw(tag) => Some((*tag).to_owned()),
        }
    }
}

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .collect()
});

impl Zone<'_> {
    fn name(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Known(index) => NAMES.get(usize::from(*index) % NAMES.len()).cloned(),
            Self::Raw(name) => Some((*name).to_owned()),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Scheme {
    Https,
    Http,
    Raw,
}

fuzz_target!(|row: Row| {
    let starts_at = match row.starts_at {
        Start::Soon(seconds) => DateTime::from_timestamp(1_772_366_400 + i64::from(seconds), 0),
        Start::Anywhere(seconds) => DateTime::from_timestamp(seconds % (1 << 43), 0),
    };
    let Some(starts_at) = starts_at else { return };
    let scheme = match row.link {
        Scheme::Https => "https://",
        Scheme::Http => "http://",
        Scheme::Raw => "",
    };
    let reminder = BookingFacts {
        booking_id: Uuid::from_u128(7),
        audience: "customer".to_owned(),
        is_guest: false,
        starts_at,
        starts_in: Duration::from_secs(row.starts_in.into()),
        duration_minutes: row.duration_minutes,
        email: "carla@customers.example".to_owned(),
        phone: None,
        sms_allowed: false,
        name: row.name.map(str::to_owned),
        timezone: row.timezone.name(),
        language: row.language.tag(),
        service: row.service.map(str::to_owned),
        with_name: row.with_name.map(str::to_owned),
        place: row.place.map(str::to_owned),
        meeting_link: row.meeting_link.map(|link| [scheme, link].concat()),
        is_online: row.is_online,
        place_timezone: row.place_timezone.name(),
        reply_to: None,
        preferences_link: None,
        attendance_link: None,
        asks_reply: false,
        sequence: 2,
        told_at: DateTime::UNIX_EPOCH,
    };
    let settings = MessageSettings {
        public_url: row.linked.then(|| BASE.to_owned()),
        app_link_base: None,
        default_language: Language::matching("en").expect("English"),
        calendar: true,
        link_base_url: None,
        look: Look::default(),
    };
    let wording = Wording::default();
    let rendered = |facts: &BookingFacts| {
        render(&row.kind.kind(facts), facts, &settings, &wording).expect("a message")
    };
    let message = rendered(&reminder);
    let tame = rendered(&tamed(&reminder));

    let Message {
        subject,
        text,
        html,
        short,
        link,
        calendar,
    } = &message;
    for line in [subject, short] {
        assert!(
            !line.is_empty()
                && line.chars().all(|one| !one.is_control())
                && !line.contains(['\u{2028}', '\u{2029}'])
        );
        // Two names, and the word joiners that break up links.
        assert!(line.chars().count() < 1200, "{line:?}");
    }
    assert!(text.chars().all(|one| one == '\n' || !one.is_control()));
    assert_eq!(text.lines().count(), tame.text.lines().count(), "{text}");
    assert_eq!(tags(html), tags(&tame.html), "{html}");
    let address = Address::parse("a@b.example").expect("an address");
    let properties = |message: &Message| {
        let appointment = message.calendar.as_ref()?;
        let written = appointment.invitation(&address, &address);
        let lines = written
            .strip_suffix("\r\n")
            .expect("a whole line")
            .split("\r\n");
        assert!(
            lines
                .clone()
                .all(|line| line.len() <= 75 && !line.contains(['\r', '\n']))
        );
        let names = lines
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().map(str::to_owned));
        Some(names.collect::<Vec<_>>())
    };
    assert_eq!(properties(&message), properties(&tame), "{calendar:?}");
    let booking = format!("{BASE}/bookings/{}", reminder.booking_id);
    assert!(link.as_ref().is_none_or(|link| *link == booking));
    for link in links(html) {
        assert!(
            link == booking || link.starts_with("https://") || link.starts_with("http://"),
            "{link:?}"
        );
    }
});

/// The same reminder with `x` as every text of a user.
fn tamed(reminder: &BookingFacts) -> BookingFacts {
    let turns = |one: char| {
        "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".contains(one)
    };
    let tame = |text: &Option<String>| {
        let is_said = |one: char| !one.is_whitespace() && !one.is_control() && !turns(one);
        let said = text.as_ref().is_some_and(|text| text.chars().any(is_said));
        said.then(|| "x".to_owned())
    };
    let safe = |link: &Option<String>| {
        let link = link.as_deref().unwrap_or_default().replace(turns, "");
        let words = link.split(|one: char| one.is_whitespace() || one.is_control());
        let first = words
            .into_iter()
            .find(|word| !word.is_empty())
            .unwrap_or_default();
        first.starts_with("https://") || first.starts_with("http://")
    };
    let link = tame(&reminder.meeting_link);
    BookingFacts {
        name: tame(&reminder.name),
        service: tame(&reminder.service),
        with_name: tame(&reminder.with_name),
        place: tame(&reminder.place),
        meeting_link: if safe(&reminder.meeting_link) {
            link.map(|_| "https://x".to_owned())
        } else {
            link
        },
        ..reminder.clone()
    }
}

/// The tags, without the targets of links.
fn tags(html: &str) -> Vec<String> {
    html.split('<')
        .skip(1)
        .map(|tag| {
            tag.split_once('>')
                .unwrap_or_else(|| panic!("a tag that is left open: {tag:?}"))
                .0
        })
        .map(|tag| {
            tag.split_once("href=\"")
                .map_or(tag, |(before, _)| before)
                .to_owned()
        })
        .collect()
}

/// The targets of links.
fn links(html: &str) -> Vec<&str> {
    html.split('<')
        .filter_map(|tag| tag.strip_prefix("a href=\""))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}
