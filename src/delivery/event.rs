//! What an event of `booking_automation_events` records, and how far it has come.

use crate::primitives::names::named;

named! {
    /// What an event records.
    pub enum EventType {
        /// A status change.
        StatusUpdate = "status_update",
        /// A reminder, from the moment when it is enqueued.
        ReminderSent = "reminder_sent",
        /// Another notification: of rows that were there before us.
        NotificationSent = "notification_sent",
        /// A message to a webhook.
        Webhook = "webhook",
    }
}

named! {
    /// How far an event has come.
    pub enum EventStatus {
        /// It waits for its attempt.
        Pending = "pending",
        /// It is claimed.
        Sending = "sending",
        /// It happened.
        Completed = "completed",
        /// It was given up.
        Failed = "failed",
        /// It is not to happen, with a reason.
        Skipped = "skipped",
    }
}
