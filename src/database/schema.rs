//! The steps of the schema, in order, and the indexes between them.

/// The steps, in order. A name identifies a step in the database: never change or reuse one.
pub(crate) const STEPS: [(&str, &str); 10] = [
    (
        "01_base_tables",
        include_str!("../../migrations/01_base_tables.sql"),
    ),
    (
        "02_booking_columns",
        include_str!("../../migrations/02_booking_columns.sql"),
    ),
    (
        "03_status_expired",
        include_str!("../../migrations/03_status_expired.sql"),
    ),
    (
        "04_status_validated",
        include_str!("../../migrations/04_status_validated.sql"),
    ),
    (
        "05_own_tables",
        include_str!("../../migrations/05_own_tables.sql"),
    ),
    (
        "06_contacts_view",
        include_str!("../../migrations/06_contacts_view.sql"),
    ),
    (
        "21_notice_key",
        include_str!("../../migrations/21_notice_key.sql"),
    ),
    ("27_groups", include_str!("../../migrations/27_groups.sql")),
    (
        "28_recipients",
        include_str!("../../migrations/28_recipients.sql"),
    ),
    ("30_via", include_str!("../../migrations/30_via.sql")),
];

/// The steps that come after the indexes, in order.
pub(crate) const LAST_STEPS: [(&str, &str); 23] = [
    (
        "07_triggers",
        include_str!("../../migrations/07_triggers.sql"),
    ),
    (
        "08_webhook_ids",
        include_str!("../../migrations/08_webhook_ids.sql"),
    ),
    (
        "09_rate_limits",
        include_str!("../../migrations/09_rate_limits.sql"),
    ),
    (
        "10_account_holds",
        include_str!("../../migrations/10_account_holds.sql"),
    ),
    (
        "11_feedback",
        include_str!("../../migrations/11_feedback.sql"),
    ),
    (
        "12_autovacuum",
        include_str!("../../migrations/12_autovacuum.sql"),
    ),
    (
        "13_rules_start_anew",
        include_str!("../../migrations/13_rules_start_anew.sql"),
    ),
    (
        "14_requests",
        include_str!("../../migrations/14_requests.sql"),
    ),
    ("15_trail", include_str!("../../migrations/15_trail.sql")),
    (
        "16_webhooks",
        include_str!("../../migrations/16_webhooks.sql"),
    ),
    (
        "17_cancellation",
        include_str!("../../migrations/17_cancellation.sql"),
    ),
    (
        "18_not_live",
        include_str!("../../migrations/18_not_live.sql"),
    ),
    (
        "19_claim_marks",
        include_str!("../../migrations/19_claim_marks.sql"),
    ),
    (
        "20_state_changes",
        include_str!("../../migrations/20_state_changes.sql"),
    ),
    (
        "22_notices",
        include_str!("../../migrations/22_notices.sql"),
    ),
    (
        "23_digests",
        include_str!("../../migrations/23_digests.sql"),
    ),
    ("24_people", include_str!("../../migrations/24_people.sql")),
    (
        "25_templates",
        include_str!("../../migrations/25_templates.sql"),
    ),
    (
        "26_attendance",
        include_str!("../../migrations/26_attendance.sql"),
    ),
    ("29_sweep", include_str!("../../migrations/29_sweep.sql")),
    (
        "31_channels",
        include_str!("../../migrations/31_channels.sql"),
    ),
    (
        "32_receipts",
        include_str!("../../migrations/32_receipts.sql"),
    ),
    (
        "33_replies",
        include_str!("../../migrations/33_replies.sql"),
    ),
];

/// The text of a step, by its name.
pub(crate) fn step_text(name: &str) -> &'static str {
    STEPS
        .iter()
        .chain(&LAST_STEPS)
        .find(|(step, _)| *step == name)
        .map_or("", |(_, text)| text)
}

/// The last step that this program requires; a pass checks for it. Later steps only expand the
/// schema for a later release, so this program runs before, between and after them.
pub(crate) const REQUIRED: &str = "17_cancellation";

/// Indexes on tables that other programs write to. Those on `bookings` hold only the bookings whose
/// status may still change with time, so they stay small. Those on the audit trail, which triggers
/// fill in other programs' transactions, serve retention, the list of events, claims (the queue of
/// each channel, in place of `booking_automation_events_claimable`, which the next release drops,
/// and of it the messages that have a chain),
/// notices (one for each
/// event, rule, audience, channel and recipient), guests' reminders (one for each guest and
/// decision), what a guest was told, digests (one for each person, day of theirs, rule, audience
/// and channel) and what else is a person's own, mails for several bookings, and webhooks: one
/// message for each event and subscription, the messages that wait for each subscription, and the
/// turns of their kinds and attempts.
pub(crate) const INDEXES: [(&str, &str); 16] = [
    (
        "booking_automation_confirmed_start",
        "ON public.bookings (scheduled_at) WHERE status = 'confirmed'",
    ),
    (
        "booking_automation_in_progress_end",
        "ON public.bookings (public.booking_automation_end(scheduled_at, \
         duration_minutes::bigint)) \
         WHERE status = 'in_progress' AND auto_complete_blocked IS NOT TRUE",
    ),
    (
        "booking_automation_in_progress_start",
        "ON public.bookings (scheduled_at) WHERE status = 'in_progress' \
         AND auto_status_updated IS TRUE",
    ),
    (
        "booking_automation_pending_start",
        "ON public.bookings (scheduled_at) WHERE status = 'pending'",
    ),
    (
        "booking_automation_events_over",
        "ON public.booking_automation_events ((greatest(created_at, starts_at))) \
         WHERE status IN ('completed', 'failed', 'skipped')",
    ),
    (
        "booking_automation_events_seq",
        "ON public.booking_automation_events (seq)",
    ),
    (
        "booking_automation_events_queue",
        "ON public.booking_automation_events ((coalesce(via, split_part(channel, '>', 1))), \
         starts_at, seq) \
         WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL \
         AND starts_at IS NOT NULL",
    ),
    (
        "booking_automation_events_chains",
        "ON public.booking_automation_events ((coalesce(via, split_part(channel, '>', 1))), \
         starts_at, seq) \
         WHERE status = 'pending' AND next_attempt_at IS NOT NULL AND position('>' IN channel) > 0",
    ),
    (
        "booking_automation_events_notices",
        "UNIQUE ON public.booking_automation_events (about, rule, audience, channel, recipient) \
         WHERE event_type = 'notification_sent' AND about IS NOT NULL",
    ),
    (
        "booking_automation_events_guests",
        "UNIQUE ON public.booking_automation_events (booking_id, recipient, revision, rule, \
         audience, channel) \
         WHERE event_type = 'guest_reminder_sent'",
    ),
    (
        "booking_automation_events_guest_history",
        "ON public.booking_automation_events (booking_id, recipient, seq) \
         WHERE recipient <> ''",
    ),
    (
        "booking_automation_events_digests",
        "UNIQUE ON public.booking_automation_events (person_id, local_day, rule, \
         audience, channel) \
         WHERE person_id IS NOT NULL",
    ),
    (
        "booking_automation_events_led",
        "ON public.booking_automation_events (led_by) WHERE led_by IS NOT NULL",
    ),
    (
        "booking_automation_events_told",
        "UNIQUE ON public.booking_automation_events (message_id, audience) \
         WHERE event_type = 'webhook'",
    ),
    (
        "booking_automation_events_webhooks",
        "ON public.booking_automation_events (audience, next_attempt_at, seq) \
         WHERE event_type = 'webhook' AND status IN ('pending', 'sending')",
    ),
    (
        "booking_automation_events_turns",
        "ON public.booking_automation_events (audience, rule, attempts, next_attempt_at, seq) \
         WHERE event_type = 'webhook' AND status NOT IN ('completed', 'failed', 'skipped')",
    ),
];
