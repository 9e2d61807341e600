//! The privileges that the role of the passes needs.

/// What passes, delivery, support and upkeep do with each relation.
pub(crate) const NEEDED: [(&str, &str); 34] = [
    ("bookings", "SELECT, UPDATE"),
    ("booking_automation_contacts", "SELECT"),
    ("reminder_rules", "SELECT"),
    ("booking_automation_migrations", "SELECT"),
    ("booking_automation_hash_key", "SELECT"),
    ("booking_automation_cancellation_policies", "SELECT"),
    ("booking_automation_digest_rules", "SELECT"),
    ("booking_automation_notice_rules", "SELECT"),
    ("automation_runs", "SELECT, INSERT, UPDATE, DELETE"),
    (
        "booking_automation_attendance",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_callers", "SELECT, INSERT, UPDATE"),
    ("booking_automation_channels", "SELECT, UPDATE"),
    (
        "booking_automation_claim_marks",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_digest_state", "SELECT, UPDATE"),
    ("booking_automation_erasures", "SELECT, INSERT, UPDATE"),
    (
        "booking_automation_events",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_feedback", "SELECT, INSERT, DELETE"),
    ("booking_automation_link_keys", "SELECT, INSERT, DELETE"),
    ("booking_automation_looks", "SELECT, INSERT, DELETE"),
    (
        "booking_automation_not_live",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_notices", "SELECT, UPDATE, DELETE"),
    (
        "booking_automation_opt_outs",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    (
        "booking_automation_preferences",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    (
        "booking_automation_push_tokens",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    (
        "booking_automation_requests",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_sms", "SELECT, INSERT, UPDATE, DELETE"),
    (
        "booking_automation_sms_replies",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_soft_bounces", "SELECT, INSERT, DELETE"),
    ("booking_automation_state", "SELECT, INSERT, UPDATE, DELETE"),
    ("booking_automation_state_changes", "SELECT, DELETE"),
    (
        "booking_automation_suppressions",
        "SELECT, INSERT, UPDATE, DELETE",
    ),
    ("booking_automation_sweep", "SELECT, INSERT, UPDATE, DELETE"),
    ("booking_automation_templates", "SELECT"),
    ("booking_automation_webhooks", "SELECT, UPDATE"),
];

/// Says which privilege is missing, from the server's "permission denied for table bookings".
pub(crate) fn explain_denial(message: &str) -> String {
    let words: Vec<_> = message
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let relation = NEEDED.iter().find(|(name, _)| words.contains(name));
    let [.., kind, name] = words[..] else {
        return message.to_owned();
    };
    match (relation, kind) {
        (Some((relation, privileges)), _) => format!(
            "{message}: this role needs {privileges} on public.{relation}; \
             `booking-automation check` says which of them it lacks"
        ),
        (None, "function" | "procedure") => {
            format!("{message}: this role needs EXECUTE on {name}")
        }
        (None, "schema" | "sequence" | "type") => {
            format!("{message}: this role needs USAGE on {name}")
        }
        (None, _) => message.to_owned(),
    }
}
