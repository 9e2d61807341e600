//! The type and the status of an event in `booking_automation_events`.

use crate::primitives::names::named;

named! {
    /// What an event records.
    pub enum EventType {
        /// A status change.
        StatusUpdate = "status_update",
        /// A move of the start.
        Rescheduled = "rescheduled",
        /// A reminder, from the moment when it is enqueued.
        ReminderSent = "reminder_sent",
        /// A reminder to a guest, another recipient of the same decision, from the moment when it
        /// is enqueued.
        GuestReminderSent = "guest_reminder_sent",
        /// A notice, from the moment when it is enqueued. Rows without a rule are from before the
        /// installation.
        NotificationSent = "notification_sent",
        /// A message to a webhook.
        Webhook = "webhook",
    }
}

named! {
    /// How far an event has come.
    pub enum EventStatus {
        /// It waits for an attempt.
        Pending = "pending",
        /// It is claimed.
        Sending = "sending",
        /// It happened.
        Completed = "completed",
        /// It was given up.
        Failed = "failed",
        /// It will not happen; the event has the reason.
        Skipped = "skipped",
    }
}
