//! The names of the kinds of messages.

use crate::primitives::names::named;

named! {
    /// A kind of message, by the name that owners use.
    #[derive(Hash)]
    pub enum KindName {
        /// The booking starts soon.
        Reminder = "reminder",
        /// Several bookings of a day start soon.
        GroupedReminder = "grouped-reminder",
        /// The booking was confirmed.
        Confirmed = "confirmed",
        /// The booking was moved.
        Rescheduled = "rescheduled",
        /// The booking was cancelled.
        Cancelled = "cancelled",
        /// The booking expired.
        Expired = "expired",
        /// The booking was completed.
        FollowUp = "follow-up",
        /// The bookings of a day.
        Digest = "digest",
    }
}

impl KindName {
    /// The kinds that people can leave, in the order of [`KindName::ALL`].
    pub fn choices() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|kind| kind.is_choice())
    }

    /// Whether people can leave this kind on its own.
    pub fn is_choice(self) -> bool {
        self.choice() == self
    }

    /// The kind that people leave in order to get no more messages of this one.
    pub fn choice(self) -> Self {
        match self {
            Self::GroupedReminder => Self::Reminder,
            kind => kind,
        }
    }
}
