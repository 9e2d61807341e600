//! The statements that claim a page of the outbox.

use std::sync::LazyLock;

use crate::channels::Channel;
use crate::database::owner_functions::{IS_KNOWN, Liveness};
use crate::delivery::digests::{digests_between_sql, is_digest_sql, not_due_sql};
use crate::delivery::recipients::preferences_sql;
use crate::reminders::addresses::HAND_OVER;

/// For a claim's transaction: the page is the head of an index. With outdated statistics, the
/// planner would collect and sort the whole backlog in a bitmap for every page.
pub(crate) const IN_INDEX_ORDER: &str = "SET LOCAL enable_bitmapscan = off";

/// The row of a channel. It is free after a page's time or that of one message at the latest: what
/// lies beyond was written before the database's clock was set back.
const CHANNEL: &str = "(SELECT channel, held_reason,
                      least(next_at, clock_timestamp() +
                         make_interval(secs => greatest({seconds}, 1 / {rate}))) AS next_at
                 FROM public.booking_automation_channels)";
/// How many messages can leave within a page's time.
const ROOM: &str = "CASE WHEN c.next_at <= k.at THEN greatest(floor({rate} * {seconds}), 1)
                ELSE greatest(floor({rate}
                     * ({seconds} - extract(epoch FROM c.next_at - k.at)::float8)), 0)
           END";
/// SQL of a boolean: the event `e` is a reminder or a notice that is not final. Messages to
/// webhooks have no start.
const CLAIMABLE: &str = "e.status IN ('pending', 'sending') AND \
     e.event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent')
       AND e.starts_at IS NOT NULL";
/// SQL that precedes a moment: the message `e` is of no use after that moment, because the booking
/// has started. Some notices are about what comes after the start.
const ENDS_BEFORE: &str = "coalesce(e.event_data -> 'notice' ->> 'on_event', '') \
    NOT IN ('expired', 'completed') AND e.starts_at <=";
/// SQL of a boolean: the person has got the message `{alias}`, or may have got it.
const MAY_HAVE_ARRIVED: &str = "{alias}.attempts > 0
    AND ({alias}.status IN ('completed', 'sending')
         OR coalesce({alias}.error_message LIKE 'the lease ran out%', false)
         OR coalesce({alias}.event_data @> '{\"attempts\": [{\"outcome\": \"unknown\"}]}', false))";
/// SQL of a boolean: the message `{alias}` tells of a cancellation.
pub(crate) const IS_CANCELLATION: &str =
    "(coalesce({alias}.event_data -> 'notice' ->> 'on_event', '') = 'cancelled')";
/// SQL of a bigint: the version of the appointment that the message `{alias}` told of, and two more
/// for each schedule since, of which `{revision}` is the present one; NULL: it told of none. The
/// next one fits into an INTEGER of RFC 5545.
pub(crate) const SEQUENCE: &str = "CASE jsonb_typeof({alias}.event_data -> 'sequence') \
    WHEN 'number' THEN least(greatest(trunc(({alias}.event_data ->> 'sequence')::numeric), 0) \
    + 2 * greatest({revision} - {alias}.revision, 0), 2147483646)::bigint END";
/// SQL of a boolean: the rule `{alias}` has the chain of the message `e`, or the one that it is the
/// rest of.
const IS_OF_RULE: &str = "(e.channel = ANY ({alias}.channels)
    OR e.event_data ? 'follows' AND EXISTS (
       SELECT FROM unnest({alias}.channels) AS chain
        WHERE right(chain, length(e.channel) + 1) = '>' || e.channel))";
/// SQL of a boolean: the message `{alias}` goes by a channel of the chain of the message `e`.
const SHARES_CHANNEL: &str = "public.booking_automation_shares_channel(e.channel, \
    {alias}.channel, {alias}.via, {alias}.status)";
/// Moves messages on to the next channel of their chain. Those that would leave with another one,
/// before their own time, move with it.
const MOVE_ON: &str = "moves_on AS MATERIALIZED (
    SELECT * FROM seen s
     WHERE s.settled_by IS NULL AND s.not_due IS NULL AND NOT s.exhausted
       AND s.unusable IS NOT NULL AND s.next_channel IS NOT NULL AND s.status = 'pending'
), moved_on AS (
    UPDATE public.booking_automation_events e
       SET via = s.next_channel, attempts = 0, claim = e.claim + 1,
           led_by = CASE WHEN e.attempts = 0 THEN e.led_by END, led_attempt = NULL,
           reason = NULL, error_message = NULL,
           next_attempt_at = CASE WHEN s.is_ready THEN p.at ELSE e.next_attempt_at END,
           event_data = public.booking_automation_moved_on(e.event_data, $1, s.unusable, p.at)
      FROM moves_on s, pace p
     WHERE e.id = s.id AND e.status = 'pending' AND e.next_attempt_at IS NOT NULL
       AND (s.is_ready
            OR e.attempts = 0 AND e.led_by IN (SELECT l.id FROM moves_on l WHERE l.is_ready))
    RETURNING e.id
)";
/// Before `migrate`, there are no chains.
const NONE_MOVES_ON: &str = "moved_on AS (SELECT NULL::uuid AS id WHERE false)";
/// Of the SMS of a page, the most urgent ones fit into the limit of a person's messages in a
/// day.
const LIMIT_SMS: &str = "seen AS MATERIALIZED (
    SELECT l.*,
           coalesce(l.unusable_number, CASE
               WHEN l.not_due IS NULL AND {before}
                    + row_number() OVER (PARTITION BY l.address_hash, l.not_due IS NULL
                                                      AND l.unusable_number IS NULL
                                                      AND l.settled_by IS NULL AND l.is_ready
                                                      AND NOT l.exhausted AND l.quiet_until IS NULL
                                             ORDER BY l.starts_at, l.seq) > $18
               THEN 'over_limit' END) AS unusable
      FROM looked_at l CROSS JOIN pace p
),";
/// SQL of how many other SMS were sent to a number in the last day.
const SMS_BEFORE: &str = "(SELECT count(*) FROM public.booking_automation_sms m
     WHERE m.address_hash = l.address_hash AND m.event_id NOT IN (SELECT id FROM looked_at)
       AND m.claimed_at > p.at - interval '1 day')";
/// Remembers to which numbers SMS leave.
const REMEMBER_SMS: &str = "remembered AS (
    INSERT INTO public.booking_automation_sms (event_id, address_hash, claimed_at)
    SELECT c.id, c.address_hash, p.at FROM claimed c CROSS JOIN pace p
    ON CONFLICT (event_id) DO UPDATE
       SET address_hash = excluded.address_hash, claimed_at = excluded.claimed_at
),";
/// SQL of where a message goes: its address, which is the person for push, and their devices.
const MAIL_ADDRESS: &str = "(SELECT candidate.address, NULL::text[] AS tokens)";
const SMS_ADDRESS: &str =
    "(SELECT coalesce(own.phone, candidate.address) AS address, NULL::text[] AS tokens)";
const PUSH_ADDRESS: &str = "(
    SELECT CASE WHEN cardinality(devices.tokens) > 0 THEN who.person_id END AS address,
           devices.tokens
      FROM (SELECT ARRAY(SELECT d.token FROM public.booking_automation_push_tokens d
                          WHERE d.person_id = who.person_id
                          ORDER BY d.seen_at DESC LIMIT 20) AS tokens) AS devices)";
/// SQL of the end of the quiet hours that the moment of the claim lies in.
const QUIET_UNTIL: &str = "upper(public.booking_automation_quiet_period(p.as_of, own.quiet_from, \
    own.quiet_until, own.timezone))";
/// SQL of the beginning of the quiet hours that the reminder `e` is due in, if the decision did not
/// know them: those of a guest, of a person whom only the contacts view names, or chosen since. It
/// stays at its own time.
const QUIET_SINCE: &str = "CASE
    WHEN own.quiet_from IS NOT NULL AND e.scheduled_at <= p.as_of
         AND e.event_type <> 'notification_sent' AND NOT e.event_data ? 'quiet_hours'
    THEN lower(public.booking_automation_quiet_period(e.scheduled_at, own.quiet_from,
                                                      own.quiet_until, own.timezone)) END";
/// SQL of the message that the provider's events about the latest attempt of `{alias}` are about.
const MAIL: &str = "CASE WHEN {alias}.led_attempt = {alias}.attempts THEN {alias}.led_by \
    ELSE {alias}.id END";
/// SQL that sets in whose mail the message `e` leaves.
const SET_LEADER: &str = "led_by = nullif(s.leader, e.id), \
    led_attempt = CASE WHEN s.leader <> e.id THEN e.attempts + 1 END,";
/// SQL of the person whose digest the message `e` is.
const OWN_PERSON: &str = "CASE WHEN e.local_day IS NOT NULL THEN e.person_id::text END";
/// What a notice says, before `migrate` of 0.3.0, when there is none.
const NO_NOTICE: &str = "SELECT NULL::text AS not_due, NULL::jsonb AS facts";
/// SQL of the events about the booking of the message `e` that are its recipient's, or no person's.
/// Two queries, since those of a guest have an index of their own.
const OWN_MESSAGES: &str = "
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE e.recipient = '' AND {alias}.booking_id = e.booking_id AND {alias}.recipient = ''
     UNION ALL
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE e.recipient <> '' AND {alias}.booking_id = e.booking_id AND {alias}.recipient <> ''
       AND {alias}.recipient = e.recipient";
/// SQL of the reminders of the booking of the message `e` to its recipient, likewise.
const OWN_REMINDERS: &str = "
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE e.recipient = '' AND {alias}.booking_id = e.booking_id
       AND {alias}.event_type = 'reminder_sent'
     UNION ALL
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE e.recipient <> '' AND {alias}.booking_id = e.booking_id
       AND {alias}.event_type = 'guest_reminder_sent' AND {alias}.recipient = e.recipient";
/// The same before `migrate` of 0.3.0, when there are no guests.
const ALL_MESSAGES: &str = "
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE {alias}.booking_id = e.booking_id";
const ALL_REMINDERS: &str = "
    SELECT {alias}.* FROM public.booking_automation_events {alias}
     WHERE {alias}.booking_id = e.booking_id AND {alias}.event_type = 'reminder_sent'";
/// No messages to guests.
const NONE_ENQUEUED: &str = "enqueued AS (
    SELECT FROM unnest($13::uuid[], $14::text[], $15::uuid[]) AS g WHERE false
)";
pub(crate) const CONTACTS: &str = include_str!("contacts.sql");
pub(crate) static CANDIDATES: LazyLock<String> =
    LazyLock::new(|| with_room(include_str!("claim_candidates.sql"), "$3", "$4"));
/// SQL of a query of the columns that [`crate::delivery::outbox::waiting_of_row`]
/// reads.
pub(crate) const WAITING: &str = include_str!("waiting.sql");

/// Replaces what statements about messages share.
pub(crate) fn with_conditions(sql: &str) -> String {
    sql.replace("{claimable}", CLAIMABLE)
        .replace("{ends_before}", ENDS_BEFORE)
}

fn with_room(sql: &str, rate: &str, seconds: &str) -> String {
    with_conditions(sql)
        .replace("{hand_over}", HAND_OVER)
        .replace("{is_liveness_known}", IS_KNOWN)
        .replace("{room}", ROOM)
        .replace("{channel}", CHANNEL)
        .replace("{rate}", rate)
        .replace("{seconds}", seconds)
}

/// The statements, for the test that prepares them all.
pub(crate) fn statements(liveness: Liveness) -> [(&'static str, String); 5] {
    let claim = |channel, has_notices| claim_sql(liveness, channel, has_notices);
    [
        ("claim, candidates", CANDIDATES.clone()),
        ("claim", claim(Channel::Email, true)),
        ("claim of reminders", claim(Channel::Email, false)),
        ("claim of SMS", claim(Channel::Sms, true)),
        ("claim of push messages", claim(Channel::Push, true)),
    ]
}

/// Replaces what the channels' claims do not share.
fn with_channel(sql: &str, channel: Channel) -> String {
    let is_sms = channel == Channel::Sms;
    let of_sms = |text| if is_sms { text } else { "" };
    let address = match channel {
        Channel::Sms => SMS_ADDRESS,
        Channel::Push => PUSH_ADDRESS,
        Channel::Email | Channel::Webhook => MAIL_ADDRESS,
    };
    let not_agreed = "WHEN NOT coalesce(own.sms_allowed, candidate.sms_allowed, false) \
                      THEN 'not_agreed'";
    // The address of push messages is the person, whose mailbox may have the same name.
    let can_be_suppressed = if channel == Channel::Push {
        "false"
    } else {
        "true"
    };
    sql.replace("{address}", address)
        .replace("{can_be_suppressed}", can_be_suppressed)
        .replace("{not_agreed}", of_sms(not_agreed))
        .replace("{seen}", if is_sms { "looked_at" } else { "seen" })
        .replace(
            "{unusable}",
            if is_sms {
                "unusable_number"
            } else {
                "unusable"
            },
        )
        .replace("{limit_sms}", of_sms(LIMIT_SMS))
        .replace("{before}", SMS_BEFORE)
        .replace("{remember_sms}", of_sms(REMEMBER_SMS))
}

/// SQL of the statement that claims a page. What it does with notices is half of it: a page without
/// one leaves that out.
pub(crate) fn claim_sql(liveness: Liveness, channel: Channel, has_notices: bool) -> String {
    let is_known = liveness != Liveness::Unknown;
    let known = |known, unknown| if is_known { known } else { unknown };
    let grouped = match channel {
        Channel::Email => known("coalesce(e.led_by, e.id)", "e.id"),
        _ => "e.id",
    };
    let next_channel = known(
        "public.booking_automation_next_channel(e.channel, $1)",
        "NULL::text",
    );
    let notice = match is_known && has_notices {
        true => include_str!("claim_notice.sql"),
        false => NO_NOTICE,
    };
    let guests = known(include_str!("claim_guests.sql"), NONE_ENQUEUED);
    let latest_revision = liveness.latest_revision("e.booking_id");
    let sql = with_channel(include_str!("claim.sql"), channel);
    let sql = with_room(&sql, "$2", "$3")
        .replace("{is_live}", liveness.condition())
        .replace("{latest_revision}", &latest_revision)
        .replace("{notice}", notice)
        .replace("{preferences}", &preferences_sql(is_known))
        .replace("{own_person}", known(OWN_PERSON, "NULL"))
        .replace("{is_guest}", known("e.recipient <> ''", "false"))
        .replace("{enqueue_guests}", guests)
        .replace("{quiet_until}", known(QUIET_UNTIL, "NULL::timestamptz"))
        .replace("{quiet_since}", known(QUIET_SINCE, "NULL::timestamptz"))
        .replace("{group_id}", grouped)
        .replace("{next_channel}", next_channel)
        .replace("{move_on}", known(MOVE_ON, NONE_MOVES_ON))
        .replace("{set_leader}", known(SET_LEADER, ""))
        .replace("{is_digest}", is_digest_sql(liveness))
        .replace("{digest_not_due}", not_due_sql(liveness))
        .replace("{digests_between}", &digests_between_sql(liveness));
    with_messages(sql, is_known).replace("{revision}", "schedule.revision")
}

/// Replaces what is said of each of several messages.
fn with_messages(sql: String, is_known: bool) -> String {
    let known = |known, unknown| if is_known { known } else { unknown };
    let of_rule = known(IS_OF_RULE, "e.channel = ANY ({alias}.channels)");
    let shares_channel = known(SHARES_CHANNEL, "{alias}.channel = e.channel");
    let per_alias = [
        ("may_have_arrived", MAY_HAVE_ARRIVED),
        ("is_cancellation", IS_CANCELLATION),
        ("sequence", SEQUENCE),
        ("mail", known(MAIL, "{alias}.id")),
        ("is_of_rule", of_rule),
        ("shares_channel", shares_channel),
        ("own_reminders", known(OWN_REMINDERS, ALL_REMINDERS)),
        ("own_messages", known(OWN_MESSAGES, ALL_MESSAGES)),
    ];
    per_alias
        .into_iter()
        .fold(sql, |sql, (name, text)| with_aliases(&sql, name, text))
}

/// Replaces `{name:alias}` by the text with this alias.
pub(crate) fn with_aliases(sql: &str, name: &str, text: &str) -> String {
    let hole = format!("{{{name}:");
    let mut parts = sql.split(hole.as_str());
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |sql, part| match part.split_once('}') {
        Some((alias, rest)) => sql + &text.replace("{alias}", alias) + rest,
        None => sql + part,
    })
}
