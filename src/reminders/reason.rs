//! Why a message was not sent, or a status change not made: each reason's name and its sentence.

use crate::primitives::names::named;

named! {
    /// The `reason` of an event.
    pub enum Reason {
        // Decided when the reminder became due.
        /// In force only after the due time, with less than two thirds of the lead left.
        BookedLate = "booked_late",
        /// A reminder nearer to the start goes out instead.
        Superseded = "superseded",
        /// An earlier message says the same, and nothing else was told since.
        AlreadyTold = "already_told",
        /// The contacts view has no address.
        NoAddress = "no_address",
        /// Of a notice: the booking has no start.
        NoStart = "no_start",
        /// Of a notice: the event was more than an hour ago.
        TooOld = "too_old",
        /// Of a notice that was held: a person dropped it.
        Dropped = "dropped",
        // Found when the message was claimed.
        /// The booking's schedule has a newer revision.
        Rescheduled = "rescheduled",
        /// The booking is not confirmed any more.
        Cancelled = "cancelled",
        /// The booking has started, or its start has come.
        Started = "started",
        /// The booking is gone.
        Deleted = "deleted",
        /// The owner's function says that the booking is not live.
        NotLive = "not_live",
        /// Of a notice: what it is about was undone.
        Overtaken = "overtaken",
        /// Of a digest: none of the day's bookings is left.
        EmptyDay = "empty_day",
        /// The rule is gone, switched off, or no longer uses this channel.
        RuleOff = "rule_off",
        /// The recipient does not want this kind of message.
        OptedOut = "opted_out",
        /// The recipient has chosen other channels.
        NotChosen = "not_chosen",
        /// The recipient has not agreed to get SMS.
        NotAgreed = "not_agreed",
        /// The recipient has got as many SMS as a person gets in a day.
        OverLimit = "over_limit",
        /// The channel is not set up.
        NotSetUp = "not_set_up",
        /// The channel's account could not send for longer than the message could wait.
        Held = "held",
        /// The address is on the suppression list.
        Suppressed = "suppressed",
        /// The contacts view cannot be read for this booking.
        Contacts = "contacts",
        /// Processes ended while they prepared the message.
        Crash = "crash",
        /// The person's data was erased.
        Forgotten = "forgotten",
        // The outcome of sending.
        /// Not a mail address.
        BadAddress = "bad_address",
        /// The provider refused the message for good.
        Rejected = "rejected",
        /// The message could not be rendered.
        Template = "template",
        /// The answer was lost.
        Unknown = "unknown",
        /// No connection to the provider.
        Unreachable = "unreachable",
        /// The provider asks to slow down.
        Throttled = "throttled",
        /// A limit of the account.
        Limit = "limit",
        /// The account's quota.
        Quota = "quota",
        /// The account cannot send.
        Account = "account",
        // Of SMS.
        /// Not a phone number.
        BadNumber = "bad_number",
        /// The number is on an opt-out list of the account: its owner answered STOP, or an operator
        /// entered it.
        NumberOptedOut = "number_opted_out",
        /// The owner's rules at the provider forbid the number or its country.
        NumberBlocked = "number_blocked",
        /// The account cannot send to the number's country.
        CountryOff = "country_off",
        /// The message would cost more than the owner wants to pay.
        TooExpensive = "too_expensive",
        // Of push messages.
        /// No device of the recipient has the app any more.
        NoDevice = "no_device",
        /// The devices are registered with another project than the one that sends.
        OtherSender = "other_sender",
        // Of webhooks.
        /// The subscription was deleted.
        Unsubscribed = "unsubscribed",
        /// The subscription was switched off.
        SwitchedOff = "switched_off",
        /// The subscription is suspended.
        Suspended = "suspended",
        /// The endpoint answered 410.
        Gone = "gone",
        /// The endpoint answered another status than 2xx; of a status change: the database refused
        /// it.
        Refused = "refused",
        /// No connection to the endpoint.
        NoConnection = "no_connection",
        /// No answer in time, or none that is HTTP.
        NoAnswer = "no_answer",
        /// The endpoint's address may not be called.
        ForbiddenTarget = "forbidden_target",
        /// The subscription's URL or secret cannot be used.
        BadSubscription = "bad_subscription",
    }
}

/// The sentences that are longer than a line.
const BOOKED_LATE: &str = "the booking was made, confirmed or moved after the reminder was due, \
                           with less than two thirds of the lead time left";
const NOT_LIVE: &str = "the booking, or a person or service of it, was marked as deleted \
                        (booking_automation_is_live)";
const NUMBER_OPTED_OUT: &str = "the number is on an opt-out list of the account: its owner \
                                answered STOP, or an operator entered it";

impl Reason {
    /// The reason in words, as the end of a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::BookedLate => BOOKED_LATE,
            Self::Superseded => "a later message replaces it",
            Self::AlreadyTold => "an earlier message says the same, and none was sent since",
            Self::NoAddress => "there is no address to send it to",
            Self::NoStart => "the booking has no start",
            Self::TooOld => "it was about something that happened more than an hour before",
            Self::Dropped => "somebody dropped the notices of its transaction",
            Self::Rescheduled => "the booking was moved or confirmed again after it was queued",
            Self::Cancelled => "the booking was no longer confirmed",
            Self::Started => "the booking had started",
            Self::Deleted => "the booking was deleted",
            Self::NotLive => NOT_LIVE,
            Self::Overtaken => "what it was about was undone",
            Self::EmptyDay => "no booking of the day was left",
            Self::RuleOff => "its rule was switched off",
            Self::OptedOut => "the recipient does not want this kind of message",
            Self::NotChosen => "the recipient has chosen other channels",
            Self::NotAgreed => "the recipient has not agreed to get SMS",
            Self::OverLimit => "the recipient got as many SMS as one person gets in a day",
            Self::NotSetUp => "the channel is not set up",
            Self::Held => "the account could not send for longer than the message could wait",
            Self::Suppressed => "the address or number bounced, or the recipient complained",
            Self::Contacts => "the name and address could not be read from the database",
            Self::Crash => "the program ended three times while it prepared the message",
            Self::Forgotten => "the person's data was erased",
            _ => self.sentence_of_sending(),
        }
    }

    /// The same for the outcomes of sending.
    fn sentence_of_sending(self) -> &'static str {
        match self {
            Self::BadAddress => "the address is not a valid mail address",
            Self::Rejected => "the messaging service rejected the message permanently",
            Self::Template => "the message could not be rendered",
            Self::Unknown => "the answer was lost, so the message may have been sent",
            Self::Unreachable => "the messaging service could not be reached",
            Self::Throttled => "the messaging service asked to slow down",
            Self::Limit => "the account reached a limit at the messaging service",
            Self::Quota => "the account's sending quota at the messaging service is used up",
            Self::Account => "the account cannot send at the messaging service",
            Self::BadNumber => "the phone number is not valid",
            Self::NumberOptedOut => NUMBER_OPTED_OUT,
            Self::NumberBlocked => "a protect configuration blocks the number or its country",
            Self::CountryOff => "the account cannot send SMS to the number's country",
            Self::TooExpensive => "the SMS would cost more than SMS_MAX_PRICE",
            Self::NoDevice => "the app is no longer registered on any device of the recipient",
            Self::OtherSender => "the recipient's devices are registered with another push project",
            Self::Unsubscribed => "the subscription was deleted",
            Self::SwitchedOff => "the subscription was switched off",
            Self::Suspended => "the subscription is suspended: a day of failures, or 410 Gone",
            Self::Gone => "the endpoint answered 410 Gone",
            Self::Refused => "the endpoint did not accept it",
            Self::NoConnection => "the endpoint could not be reached",
            Self::NoAnswer => "the endpoint did not answer in time, or not with HTTP",
            Self::ForbiddenTarget => "the endpoint's address is not allowed",
            Self::BadSubscription => "the subscription's URL or secret cannot be used",
            // A test finds a reason without a sentence.
            _ => "",
        }
    }
}
