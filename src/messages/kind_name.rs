//! The names of the kinds of messages.

use crate::primitives::names::named;

named! {
    /// A kind of message, by the name that owners use.
    #[derive(Hash)]
    pub enum KindName {
        /// The booking starts soon.
        Reminder = "reminder",
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
