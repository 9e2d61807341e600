//! Which parts of messages owners may write themselves, and which variables each part takes.
//! `docs/wording.md` has the same table; tests hold both against the language files.

use crate::messages::kind_name::KindName;

/// A part of a message.
#[derive(Debug)]
pub struct Part {
    /// The kind of message that has it; `None`: all of them.
    pub kind: Option<KindName>,
    /// Its name for owners.
    pub name: &'static str,
    /// The text of the language files that it replaces.
    pub text: &'static str,
    /// The names of its variables.
    pub variables: &'static [&'static str],
}

/// The `kind` of a row that is for all kinds.
pub(super) const ALL_KINDS: &str = "all";

const BOOKING: &[&str] = &["service", "booking", "when", "audience"];
const STARTING: &[&str] = &["service", "booking", "when", "audience", "starts-in"];
const CANCELLED: &[&str] = &["service", "booking", "when", "audience", "by"];
const REFUND: &[&str] = &["service", "booking", "when", "audience", "amount", "total"];
const DAY: &[&str] = &["service", "booking", "when", "audience", "count", "day"];
const FIRST: &[&str] = &[
    "service", "booking", "when", "audience", "count", "day", "first",
];
const OTHERS: &[&str] = &["service", "booking", "when", "audience", "count"];
const PERCENTAGE: &[&str] = &["service", "booking", "when", "audience", "percent"];

/// All parts.
pub const PARTS: &[Part] = &[
    own(KindName::Reminder, "subject", "reminder-subject", STARTING),
    own(KindName::Reminder, "opening", "reminder-opening", STARTING),
    own(KindName::Reminder, "short", "reminder-short", STARTING),
    own(
        KindName::GroupedReminder,
        "subject",
        "grouped-reminder-subject",
        DAY,
    ),
    own(
        KindName::GroupedReminder,
        "opening",
        "grouped-reminder-opening",
        DAY,
    ),
    own(
        KindName::GroupedReminder,
        "short",
        "grouped-reminder-short",
        FIRST,
    ),
    own(KindName::Confirmed, "subject", "confirmed-subject", BOOKING),
    own(KindName::Confirmed, "opening", "confirmed-opening", BOOKING),
    own(KindName::Confirmed, "short", "confirmed-short", BOOKING),
    own(
        KindName::Rescheduled,
        "subject",
        "rescheduled-subject",
        BOOKING,
    ),
    own(
        KindName::Rescheduled,
        "opening",
        "rescheduled-opening",
        BOOKING,
    ),
    own(KindName::Rescheduled, "short", "rescheduled-short", BOOKING),
    own(KindName::Rescheduled, "before", "before", &[]),
    own(KindName::Cancelled, "subject", "cancelled-subject", BOOKING),
    own(
        KindName::Cancelled,
        "opening",
        "cancelled-opening",
        CANCELLED,
    ),
    own(KindName::Cancelled, "short", "cancelled-short", BOOKING),
    own(KindName::Cancelled, "refund-full", "refund-full", REFUND),
    own(KindName::Cancelled, "refund-part", "refund-part", REFUND),
    own(
        KindName::Cancelled,
        "refund-percentage",
        "refund-percentage",
        PERCENTAGE,
    ),
    own(KindName::Cancelled, "refund-none", "refund-none", BOOKING),
    own(KindName::Expired, "subject", "expired-subject", BOOKING),
    own(KindName::Expired, "opening", "expired-opening", BOOKING),
    own(KindName::Expired, "short", "expired-short", BOOKING),
    own(KindName::FollowUp, "subject", "follow-up-subject", BOOKING),
    own(KindName::FollowUp, "opening", "follow-up-opening", BOOKING),
    own(KindName::FollowUp, "short", "follow-up-short", BOOKING),
    own(KindName::Digest, "subject", "digest-subject", DAY),
    own(KindName::Digest, "opening", "digest-opening", DAY),
    own(KindName::Digest, "short", "digest-short", FIRST),
    own(KindName::Digest, "more", "digest-more", OTHERS),
    shared("greeting", &["name"]),
    shared("greeting-nameless", &[]),
    shared("your-booking", &[]),
    shared("booking-with", &["service", "person"]),
    shared("service", &[]),
    shared("with", &[]),
    shared("when", &[]),
    shared("when-here", &["when"]),
    shared("when-there", &["when"]),
    shared("clocks-change", &[]),
    shared("where", &[]),
    shared("join", &[]),
    shared("time-zones", &[]),
    shared("attend", &[]),
    shared("cannot-attend", &[]),
    shared("choose-messages", &[]),
];

const fn own(
    kind: KindName,
    name: &'static str,
    text: &'static str,
    variables: &'static [&'static str],
) -> Part {
    Part {
        kind: Some(kind),
        name,
        text,
        variables,
    }
}

const fn shared(name: &'static str, variables: &'static [&'static str]) -> Part {
    Part {
        kind: None,
        name,
        text: name,
        variables,
    }
}

impl Part {
    /// The part with this name, in messages of this kind; `None`: of all kinds.
    pub(super) fn find(kind: Option<KindName>, name: &str) -> Option<&'static Self> {
        Self::of(kind).find(|part| part.name == name)
    }

    /// The parts that a row of this kind may replace; `None`: of all kinds.
    pub(super) fn of(kind: Option<KindName>) -> impl Iterator<Item = &'static Self> {
        PARTS
            .iter()
            .filter(move |part| part.kind.is_none() || part.kind == kind)
    }

    /// Characters of its written text, at most. Subjects are lines of a mail's head.
    pub(super) fn longest(&self) -> usize {
        match self.has_paragraphs() {
            true => 2_000,
            false => 500,
        }
    }

    /// Whether its text may have several paragraphs.
    pub(super) fn has_paragraphs(&self) -> bool {
        self.name == "opening"
    }
}

/// Variables that have one of a few values.
const CLOSED: &[(&str, &[&str])] = &[
    ("audience", &["customer", "provider"]),
    (
        "by",
        &["you", "customer", "provider", "business", "unknown"],
    ),
];

/// The values that a variable has; `None`: any text.
pub(super) fn values(variable: &str) -> Option<&'static [&'static str]> {
    let (_, values) = CLOSED.iter().find(|(name, _)| *name == variable)?;
    Some(values)
}
