//! The checked model: every interleaving of two calls, their crashes, later SES events and the
//! user's edits, within small bounds, by an explicit-state model checker (`stateright`, breadth
//! first). A second test removes each mechanism from the model, and the checker must find a run
//! that breaks a guarantee.
//!
//! The model is finer than the SQL statements where other sessions can come between: a statement's
//! snapshot, its row locks and its COMMIT are separate steps. The steps are:
//!
//! | step | what the product does |
//! |---|---|
//! | `Begin` | `BEGIN`, `pg_try_advisory_xact_lock`, the probes (`pass.rs`: `take_lock`, `ask`); the snapshot of the status changes |
//! | `Judge` | the candidates' locks and the UPDATE (`transitions.rs`), the recheck queue (`reminders.rs`), `verdicts.sql`; not visible to others |
//! | `CommitPass` | `enqueue.sql` meets the UNIQUE key; the run's row with `looked_through`; `COMMIT` |
//! | `Claim` | `BEGIN`, the channel's lock, the snapshot of `claim.sql` (`pages.rs`: `claim_once`) |
//! | `CommitClaim` | the candidate's row lock, the tests in the outer UPDATEs of `claim.sql`, `COMMIT` |
//! | `LoseAnswer` | that `COMMIT`, executed or not, has no answer |
//! | `Send`, `Defer` | the check of the clock, and the request or none (`send_page`) |
//! | `SendLate` | the process was stopped between that check and the request |
//! | `Record` | `BEGIN`, `record.sql` under its row lock, `COMMIT` (`pages.rs`: `record_once`), repeated after a lost answer |
//! | `SetAside` | the view fails for the row's booking (`outbox.rs`: `set_aside`) |
//! | `Word` | an SES event (`feedback.sql`) |
//! | `Cancel`, `Move`, `Confirm` | a statement of the user and the writes of our trigger (`07_triggers.sql`) |
//! | `Crash` | SIGKILL: uncommitted work is rolled back, and the process's memory is lost |
//! | `Tick` | time passes: a lease, a back-off or the three seconds of a request |
//!
//! There are few calls and bookings, a page has one message, and time has a few ticks. Left out:
//! chains of channels, which have a model of their own (`model/chain.rs`), several audiences, addresses and suppressions, the send rate and holds, `expired`,
//! flags, sweeps, pruning, the way back to `confirmed`, what was told before, and the clocks of the
//! instances, which decide nothing here. A call that would change nothing is not a step.

mod chain;

use std::collections::HashMap;
use std::path::Path;

use stateright::{Checker, Model, Property};

type Time = u8;

/// The lease of a claim, in ticks.
const LEASE: Time = 1;
/// The wait after an attempt that failed.
const BACK_OFF: Time = 1;
/// The duration of a booking.
const DURATION: Time = 1;
/// Bookings, at most.
const MOST: usize = 2;

/// A booking's status; `bookings.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Booked {
    Confirmed,
    InProgress,
    Completed,
    Cancelled,
}

/// A booking, its row in `booking_automation_state`, and its number of rows in
/// `booking_automation_looks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Booking {
    status: Booked,
    start: Time,
    revision: u8,
    in_force_since: Time,
    looks: u8,
    /// For the checker: when it was last changed.
    changed: Time,
}

/// A reminder's status; `booking_automation_events.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Status {
    Pending,
    Sending,
    Completed,
    Failed,
    Skipped,
}

impl Status {
    fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Sending)
    }
}

/// A row of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    booking: u8,
    revision: u8,
    rule: u8,
    starts_at: Time,
    status: Status,
    claim: u8,
    attempts: u8,
    lease_until: Time,
    next_attempt_at: Time,
    /// Whether an SES event of it is stored.
    word: bool,
    /// Recorded attempts with an unknown outcome.
    doubts: u8,
    /// For the checker: the requests that the provider accepted,
    mails: u8,
    /// and whether it has an event to deliver.
    word_to_come: bool,
}

impl Row {
    fn key(&self) -> (u8, u8, u8) {
        (self.booking, self.revision, self.rule)
    }
}

/// The outcome of a request, as the sender knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Outcome {
    Sent,
    NotSent,
    Rejected,
    Unknown,
    Deferred,
}

/// An outcome that is not recorded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Told {
    row: u8,
    claim: u8,
    outcome: Outcome,
}

/// What `claim.sql` read of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Seen {
    row: u8,
    verdict: Verdict,
    was_sending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Verdict {
    Settled,
    NotDue,
    Exhausted,
    Claim,
}

/// The phase of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Idle,
    /// The pass has its lock and the results of its probes.
    Begun {
        as_of: Time,
        claimable: bool,
        candidates: [Option<Booked>; MOST],
    },
    /// It has written everything and not committed.
    Judged {
        as_of: Time,
        claimable: bool,
        moved: [Option<Booked>; MOST],
        looks: [u8; MOST],
        verdicts: Vec<Row>,
    },
    /// Between two transactions of the delivery.
    Turn {
        told: Option<Told>,
        alone: bool,
    },
    /// In the transaction that claims.
    Claiming {
        at: Time,
        told: Option<Told>,
        seen: Option<Seen>,
        requested: Option<Outcome>,
    },
    /// It may send.
    Sending {
        row: u8,
        claim: u8,
        read_at: Time,
    },
}

impl Phase {
    fn is_pass(&self) -> bool {
        matches!(self, Self::Begun { .. } | Self::Judged { .. })
    }
}

/// How many faults of each kind may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    lost_answers: u8,
    stalls: u8,
    broken_views: u8,
    edits: u8,
}

impl Budget {
    const NONE: Self = Self {
        crashes: 0,
        lost_answers: 0,
        stalls: 0,
        broken_views: 0,
        edits: 0,
    };
}

/// What must never have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Wrong {
    /// A row was written by another claim, or after it was final.
    stale_write: bool,
    /// A booking took a step that design 3.2 does not have.
    forbidden_transition: bool,
    /// A request was sent for a reminder that was not due when it was read.
    too_late: bool,
    /// A message was claimed again although its SES event was stored.
    unheard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    clock: Time,
    bookings: Vec<Booking>,
    rows: Vec<Row>,
    /// `automation_runs.looked_through` of the latest pass.
    looked_through: Time,
    calls: Vec<Phase>,
    left: Budget,
    wrong: Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    Cancel(u8),
    Move(u8, Time),
    Confirm(u8),
    Word(u8),
    Begin(u8),
    Judge(u8),
    CommitPass(u8),
    Claim(u8),
    CommitClaim(u8),
    LoseAnswer(u8, Committed),
    Send(u8, Outcome, Accepted),
    SendLate(u8, Outcome, Accepted),
    Defer(u8),
    Record(u8),
    RecordUnanswered(u8),
    SetAside(u8),
    Crash(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    Yes,
    No,
}

/// All outcomes of a request.
const ANSWERS: [(Outcome, Accepted); 5] = [
    (Outcome::Sent, Accepted::Yes),
    (Outcome::Unknown, Accepted::Yes),
    (Outcome::Unknown, Accepted::No),
    (Outcome::NotSent, Accepted::No),
    (Outcome::Rejected, Accepted::No),
];

/// A mechanism of the product that can be removed from the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    PassLock,
    UniqueKey,
    TransitionTested,
    Looks,
    OnePassTransaction,
    Revision,
    ChannelLock,
    RowLock,
    StatusTested,
    ReadAnew,
    Lease,
    LeaseEnds,
    LeaseOnRecord,
    ClaimFirst,
    RecordAfter,
    LostClaim,
    Fresh,
    FencedByClaim,
    FencedByStatus,
    UnknownIsNotFailed,
    UnknownIsNotSent,
    WordLookedFor,
    WordInItsPlace,
    LastAttempt,
    AsideOnRecord,
}

impl Mechanism {
    /// Its name, a file and a text in it. When the text changes, check that the model still
    /// describes the product.
    const fn name_and_source(self) -> (&'static str, &'static str, &'static str) {
        const CLAIM: &str = "src/delivery/claim.sql";
        const RECORD: &str = "src/delivery/record.sql";
        const DELIVERY: &str = "src/delivery/message_lane.rs";
        const CANDIDATES: &str = "src/delivery/candidates.rs";
        const OUTCOMES: &str = "src/delivery/outcomes.rs";
        const TRIGGERS: &str = "schema/functions/booking_automation_on_update.sql";
        const FENCE: &str = "WHERE e.id = j.id AND e.status = 'sending' AND e.claim = j.claim";
        match self {
            Self::PassLock => (
                "the pass's advisory lock",
                "src/tick/pass.rs",
                "WHERE pg_try_advisory_xact_lock({PASS_LOCK})",
            ),
            Self::UniqueKey => (
                "the UNIQUE key",
                "src/reminders/enqueue.sql",
                "ON CONFLICT (booking_id, revision, rule, audience, channel)",
            ),
            Self::TransitionTested => (
                "a status change's recheck of the booking",
                "src/bookings/step.sql",
                "AND b.status OPERATOR(pg_catalog.=) '{from}'",
            ),
            Self::Looks => (
                "the recheck queue",
                TRIGGERS,
                "INSERT INTO public.booking_automation_looks (booking_id)",
            ),
            Self::OnePassTransaction => (
                "the watermark in the transaction of the decisions",
                "src/tick/pass.rs",
                "run_log::commit_with_row(transaction, trigger, work, looked_through, digest)",
            ),
            Self::Revision => (
                "a new revision for a new start",
                TRIGGERS,
                "revision = s.revision + 1",
            ),
            Self::ChannelLock => (
                "the claim's lock on the channel",
                CANDIDATES,
                "SELECT FROM public.booking_automation_channels WHERE channel = $1 FOR UPDATE",
            ),
            Self::RowLock => (
                "PostgreSQL's recheck of a row that it locks",
                "src/delivery/claim_candidates.sql",
                "FOR UPDATE SKIP LOCKED",
            ),
            Self::StatusTested => (
                "the outer UPDATEs' recheck of the row",
                CLAIM,
                "AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= p.at",
            ),
            Self::ReadAnew => (
                "the claim's new read of the booking",
                CLAIM,
                "WHEN b.status IS DISTINCT FROM 'confirmed' THEN 'cancelled'",
            ),
            Self::Lease => (
                "the lease",
                CLAIM,
                "next_attempt_at = p.at + make_interval(secs => $4 + $5)",
            ),
            Self::LeaseEnds => (
                "the end of a lease",
                "src/delivery/claim_sql.rs",
                "e.event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent')",
            ),
            Self::LeaseOnRecord => (
                "the record of an expired lease",
                CLAIM,
                "booking_automation_lost_attempt(e.attempts)",
            ),
            Self::ClaimFirst => (
                "the claim's COMMIT before the request",
                DELIVERY,
                "match self.pages.claim(&self.limits, is_ahead).await {",
            ),
            Self::RecordAfter => (
                "recording after the answer instead of with the claim",
                CLAIM,
                "SET status = 'sending', claim = e.claim + 1",
            ),
            Self::LostClaim => (
                "sending nothing after a claim whose COMMIT got no answer",
                "src/delivery/pages.rs",
                "a claim whose COMMIT was lost waits for its lease",
            ),
            Self::Fresh => (
                "the three seconds after the read",
                DELIVERY,
                "leave_by = (read_at + timing.fresh_for)",
            ),
            Self::FencedByClaim => ("the claim number in the fence", RECORD, FENCE),
            Self::FencedByStatus => ("the status in the fence", RECORD, FENCE),
            Self::UnknownIsNotFailed => (
                "a time-out is not a failure",
                OUTCOMES,
                "Outcome::Unknown { error } => (\"pending\", Some(Reason::Unknown)",
            ),
            Self::UnknownIsNotSent => (
                "a time-out is not a success",
                OUTCOMES,
                "Outcome::Unknown { error } => (\"pending\", Some(Reason::Unknown)",
            ),
            Self::WordLookedFor => (
                "claim and record look for SES events",
                CLAIM,
                "booking_automation_settled_by(e.id) END AS settled_by",
            ),
            Self::WordInItsPlace => (
                "SES events do not change skipped reminders",
                "src/delivery/feedback.sql",
                "AND e.status IN ('pending', 'failed')",
            ),
            Self::LastAttempt => ("the last attempt", CLAIM, "e.attempts >= $7 AS exhausted"),
            Self::AsideOnRecord => (
                "unknown outcomes and SES events of a message with a contact failure",
                "src/delivery/unprepared.sql",
                "WHEN t.settled_by IS NOT NULL THEN 'completed'",
            ),
        }
    }
}

/// The model: its bounds and the removed mechanisms.
#[derive(Clone, Debug)]
struct Reminders {
    without: &'static [Mechanism],
    calls: usize,
    bookings: usize,
    /// The leads of the rules, the longest first.
    leads: &'static [Time],
    start: Time,
    horizon: Time,
    /// How long an unknown outcome waits for an SES event, in addition to the lease or the
    /// back-off.
    unknown_wait: Time,
    /// The possible outcomes of a request, and what the sender learns.
    answers: &'static [(Outcome, Accepted)],
    /// Whether the provider sends events.
    tells: bool,
    /// Attempts at one message, at most: five in the product.
    attempts: u8,
    budget: Budget,
    /// The one of [`CHECKS`] that is checked, or `None` for all.
    asked: Option<&'static str>,
    /// Which of [`WITNESSES`] are looked for.
    witnesses: &'static [&'static str],
}

impl Reminders {
    fn has(&self, mechanism: Mechanism) -> bool {
        !self.without.contains(&mechanism)
    }

    fn due_at(&self, row: &Row) -> Time {
        row.starts_at
            .saturating_sub(self.leads[usize::from(row.rule)])
    }

    /// The status change that is due: design 3.2, without `expired`.
    fn step_due(booking: &Booking, status: Booked, as_of: Time) -> Option<Booked> {
        match status {
            Booked::Confirmed if booking.start <= as_of => Some(Booked::InProgress),
            Booked::InProgress if booking.start + DURATION <= as_of => Some(Booked::Completed),
            _ => None,
        }
    }

    /// The status after one pass, which makes both steps if both are due.
    fn status_after_pass(booking: &Booking, as_of: Time) -> Option<Booked> {
        let step = |status: &Booked| Self::step_due(booking, *status, as_of);
        std::iter::successors(step(&booking.status), step).last()
    }

    /// `verdicts.sql` for one booking, whose status may be uncommitted.
    fn decide_reminders(
        &self,
        state: &State,
        number: usize,
        status: Booked,
        as_of: Time,
    ) -> Vec<Row> {
        let booking = &state.bookings[number];
        let looked_at = |lead: Time| {
            booking.start > as_of
                && booking.start <= as_of + lead
                && (booking.start > state.looked_through + lead || booking.looks > 0)
        };
        let of_booking =
            |row: &&Row| usize::from(row.booking) == number && row.revision == booking.revision;
        let mut verdicts = Vec::new();
        if status != Booked::Confirmed {
            return verdicts;
        }
        // The shortest lead first: only the reminder nearest to the start is sent.
        for (rule, &lead) in self.leads.iter().enumerate().rev() {
            let known = state
                .rows
                .iter()
                .filter(of_booking)
                .any(|row| usize::from(row.rule) == rule);
            if !looked_at(lead) || known {
                continue;
            }
            let due_at = booking.start - lead;
            let late = booking.in_force_since > due_at && 3 * (booking.start - as_of) < 2 * lead;
            let nearer = |row: &Row| {
                !matches!(row.status, Status::Failed | Status::Skipped) && self.due_at(row) > due_at
            };
            let superseded =
                state.rows.iter().filter(of_booking).any(nearer) || verdicts.iter().any(nearer);
            let pending = !late && !superseded;
            verdicts.push(Row {
                booking: u8::try_from(number).unwrap(),
                revision: booking.revision,
                rule: u8::try_from(rule).unwrap(),
                starts_at: booking.start,
                status: if pending {
                    Status::Pending
                } else {
                    Status::Skipped
                },
                claim: 0,
                attempts: 0,
                lease_until: 0,
                next_attempt_at: if pending { state.clock } else { 0 },
                word: false,
                doubts: 0,
                mails: 0,
                word_to_come: false,
            });
        }
        verdicts
    }

    /// The cases of `claim.sql`, on a row and its booking as the statement's snapshot has them.
    fn claim_decision(&self, state: &State, row: &Row) -> Verdict {
        let booking = &state.bookings[usize::from(row.booking)];
        let superseded = || {
            state.rows.iter().any(|nearer| {
                (nearer.booking, nearer.revision) == (row.booking, row.revision)
                    && !matches!(nearer.status, Status::Failed | Status::Skipped)
                    && self.due_at(nearer) > self.due_at(row)
            })
        };
        let not_due = if self.has(Mechanism::ReadAnew) {
            booking.status != Booked::Confirmed
                || booking.start != row.starts_at
                || booking.revision != row.revision
                || booking.start <= state.clock
                || superseded()
        } else {
            row.starts_at <= state.clock
        };
        if row.word && self.has(Mechanism::WordLookedFor) {
            Verdict::Settled
        } else if not_due {
            Verdict::NotDue
        } else if row.status == Status::Sending
            && row.attempts >= self.attempts
            && self.has(Mechanism::LastAttempt)
        {
            Verdict::Exhausted
        } else {
            Verdict::Claim
        }
    }

    /// The first row that could be claimed now.
    fn claim_candidate(&self, state: &State, me: usize) -> Option<usize> {
        let claimable = |row: &Row| {
            let open = row.status == Status::Pending
                || row.status == Status::Sending && self.has(Mechanism::LeaseEnds);
            open && row.next_attempt_at <= state.clock
        };
        let rows = state.rows.iter().enumerate();
        rows.filter(|(number, row)| claimable(row) && !state.is_locked(*number, me))
            .min_by_key(|(number, row)| (row.starts_at, *number))
            .map(|(number, _)| number)
    }

    /// `record.sql`, at a moment.
    fn apply_record(&self, state: &mut State, told: Told, at: Time) {
        let row = &mut state.rows[usize::from(told.row)];
        let fenced = (row.claim == told.claim || !self.has(Mechanism::FencedByClaim))
            && (row.status == Status::Sending || !self.has(Mechanism::FencedByStatus));
        if !fenced {
            return;
        }
        let (was, is_its_own) = (row.status, row.claim == told.claim);
        let outcome = match told.outcome {
            Outcome::Unknown if !self.has(Mechanism::UnknownIsNotFailed) => Outcome::NotSent,
            Outcome::Unknown if !self.has(Mechanism::UnknownIsNotSent) => Outcome::Sent,
            outcome => outcome,
        };
        let settled = row.word
            && matches!(
                outcome,
                Outcome::NotSent | Outcome::Rejected | Outcome::Unknown
            )
            && self.has(Mechanism::WordLookedFor);
        let wait = match outcome {
            Outcome::Deferred => 0,
            Outcome::Unknown => BACK_OFF.max(self.unknown_wait),
            _ => BACK_OFF,
        };
        row.status = match outcome {
            _ if settled => Status::Completed,
            Outcome::Sent => Status::Completed,
            Outcome::Rejected => Status::Failed,
            Outcome::Deferred => Status::Pending,
            Outcome::NotSent | Outcome::Unknown
                if row.attempts >= self.attempts && self.has(Mechanism::LastAttempt)
                    || row.starts_at <= at + wait =>
            {
                Status::Failed
            }
            Outcome::NotSent | Outcome::Unknown => Status::Pending,
        };
        state.wrong.stale_write |= !is_its_own || was.is_final() && row.status != was;
        if outcome == Outcome::Unknown && !settled {
            row.doubts += 1;
        }
        if outcome == Outcome::Deferred {
            row.attempts = row.attempts.saturating_sub(1);
        }
        row.lease_until = 0;
        row.next_attempt_at = if row.status == Status::Pending {
            at + wait
        } else {
            0
        };
    }

    /// What `claim.sql` writes to the row that it saw. The claim number, where it is claimed.
    fn apply_claim(&self, state: &mut State, seen: Seen, at: Time) -> Option<u8> {
        let row = &mut state.rows[usize::from(seen.row)];
        let still_open = !row.status.is_final() && row.next_attempt_at <= at;
        if !still_open && (self.has(Mechanism::RowLock) || self.has(Mechanism::StatusTested)) {
            return None;
        }
        state.wrong.stale_write |= row.status.is_final();
        // Only an expired lease is a doubt.
        if seen.was_sending
            && seen.verdict != Verdict::Settled
            && self.has(Mechanism::LeaseOnRecord)
            && row.lease_until <= at
        {
            row.doubts += 1;
        }
        row.lease_until = 0;
        row.next_attempt_at = 0;
        match seen.verdict {
            Verdict::Settled => row.status = Status::Completed,
            Verdict::NotDue => row.status = Status::Skipped,
            Verdict::Exhausted => row.status = Status::Failed,
            Verdict::Claim => {
                state.wrong.unheard |= row.word;
                row.claim += 1;
                row.attempts += 1;
                if !self.has(Mechanism::RecordAfter) {
                    row.status = Status::Completed;
                    return Some(row.claim);
                }
                row.status = Status::Sending;
                row.lease_until = at + LEASE;
                row.next_attempt_at = if self.has(Mechanism::Lease) {
                    row.lease_until + self.unknown_wait
                } else {
                    at
                };
                return Some(row.claim);
            }
        }
        None
    }

    /// The contact view fails for a row.
    fn record_contact_failure(&self, state: &mut State, number: usize) {
        let at = state.clock;
        let row = &mut state.rows[number];
        let on_record = self.has(Mechanism::AsideOnRecord);
        if on_record && row.word {
            row.status = Status::Completed;
        } else {
            row.doubts += u8::from(on_record && row.status == Status::Sending);
            row.attempts = self.attempts.min(row.attempts + 1);
            row.claim += 1;
            let over = row.attempts >= self.attempts || row.starts_at <= at + BACK_OFF;
            row.status = if over {
                Status::Failed
            } else {
                Status::Pending
            };
        }
        row.lease_until = 0;
        row.next_attempt_at = if row.status == Status::Pending {
            at + BACK_OFF
        } else {
            0
        };
    }

    /// A request for a row reaches the provider or is lost.
    fn deliver_request(&self, state: &mut State, number: u8, accepted: Accepted) {
        let row = &mut state.rows[usize::from(number)];
        if accepted == Accepted::Yes {
            row.mails += 1;
            row.word_to_come = self.tells;
        }
    }

    fn is_due(state: &State, row: &Row) -> bool {
        let booking = &state.bookings[usize::from(row.booking)];
        booking.status == Booked::Confirmed
            && booking.revision == row.revision
            && booking.start > state.clock
    }

    /// Whether a call would find something to do, or at least move `looked_through` on.
    fn has_work_for_pass(&self, state: &State, me: usize) -> bool {
        state.looked_through < state.clock
            || self.claim_candidate(state, me).is_some()
            || state.bookings.iter().any(|booking| {
                booking.looks > 0 || Self::step_due(booking, booking.status, state.clock).is_some()
            })
    }

    fn can_begin(&self, state: &State, me: usize) -> bool {
        // An overlapping call is skipped and is not a step.
        (!self.has(Mechanism::PassLock) || !state.calls.iter().any(Phase::is_pass))
            && self.has_work_for_pass(state, me)
    }

    fn channel_is_free(&self, state: &State) -> bool {
        !self.has(Mechanism::ChannelLock)
            || !state
                .calls
                .iter()
                .any(|call| matches!(call, Phase::Claiming { .. }))
    }

    /// An edit of the user, with the writes of the triggers.
    fn apply_edit(&self, booking: &mut Booking, clock: Time, status: Booked, start: Time) {
        let armed =
            status == Booked::Confirmed && (booking.status != status || booking.start != start);
        (booking.status, booking.start, booking.changed) = (status, start, clock);
        if armed {
            booking.in_force_since = clock;
            if self.has(Mechanism::Revision) {
                booking.revision += 1;
            }
            if start > clock && self.has(Mechanism::Looks) {
                booking.looks += 1;
            }
        }
    }
}

impl State {
    /// Whether another transaction has locked a row of the outbox: it has recorded an outcome and
    /// not committed.
    fn is_locked(&self, row: usize, me: usize) -> bool {
        self.calls.iter().enumerate().any(|(number, call)| {
            number != me && matches!(call, Phase::Claiming { told: Some(told), .. } if usize::from(told.row) == row)
        })
    }

    /// Whether a pass holds a booking.
    fn is_held(&self, booking: usize) -> bool {
        self.calls
            .iter()
            .any(|call| matches!(call, Phase::Judged { moved, .. } if moved[booking].is_some()))
    }
}

/// Which actions are possible.
impl Reminders {
    /// The user's edits.
    fn edit_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for number in 0..state.bookings.len() {
            let booking = &state.bookings[number];
            let id = u8::try_from(number).unwrap();
            if state.left.edits == 0 || state.is_held(number) {
                continue;
            }
            match booking.status {
                Booked::InProgress => actions.push(Action::Cancel(id)),
                Booked::Confirmed => {
                    actions.push(Action::Cancel(id));
                    // Later, and back again. The end must lie within the horizon.
                    if booking.start + 1 < self.horizon {
                        actions.push(Action::Move(id, booking.start + 1));
                    }
                    if booking.start > self.start {
                        actions.push(Action::Move(id, self.start));
                    }
                }
                Booked::Cancelled => actions.push(Action::Confirm(id)),
                Booked::Completed => {}
            }
        }
    }

    /// A call between two transactions of the delivery claims, records, or records a contact
    /// failure.
    fn actions_between_transactions(
        &self,
        state: &State,
        number: usize,
        told: Option<Told>,
        alone: bool,
        actions: &mut Vec<Action>,
    ) {
        let id = u8::try_from(number).unwrap();
        let free = told.is_none_or(|told| !state.is_locked(usize::from(told.row), number));
        if !alone && told.is_none() && self.channel_is_free(state) {
            actions.push(Action::Claim(id));
        }
        if told.is_some() && free {
            actions.push(Action::Record(id));
            if state.left.lost_answers > 0 {
                actions.push(Action::RecordUnanswered(id));
            }
        }
        let broken = state.left.broken_views > 0 && self.channel_is_free(state);
        if told.is_none() && broken && self.claim_candidate(state, number).is_some() {
            actions.push(Action::SetAside(id));
        }
    }

    fn send_actions(&self, id: u8) -> impl Iterator<Item = Action> {
        self.answers
            .iter()
            .map(move |&(outcome, accepted)| Action::Send(id, outcome, accepted))
    }
}

/// What each action changes. `None`: the call is not in the phase of the action.
impl Reminders {
    /// A status or a start that the user changes.
    fn edit_booking(&self, state: &mut State, id: u8, status: Option<Booked>, start: Option<Time>) {
        state.left.edits -= 1;
        let clock = state.clock;
        let booking = &mut state.bookings[usize::from(id)];
        self.apply_edit(
            booking,
            clock,
            status.unwrap_or(booking.status),
            start.unwrap_or(booking.start),
        );
    }

    /// `feedback.sql`.
    fn apply_ses_event(&self, state: &mut State, id: u8) {
        let row = &mut state.rows[usize::from(id)];
        row.word = true;
        row.word_to_come = false;
        let takes = matches!(row.status, Status::Pending | Status::Failed);
        if takes || !self.has(Mechanism::WordInItsPlace) {
            state.wrong.stale_write |= row.status == Status::Skipped;
            row.status = Status::Completed;
            row.lease_until = 0;
            row.next_attempt_at = 0;
        }
    }

    fn begin_pass(&self, state: &mut State, id: u8) {
        let clock = state.clock;
        let candidates = std::array::from_fn(|number| {
            Self::status_after_pass(state.bookings.get(number)?, clock)
        });
        let claimable = self.claim_candidate(state, usize::from(id)).is_some();
        *state.call(id) = Phase::Begun {
            as_of: clock,
            claimable,
            candidates,
        };
    }

    fn decide_pass(&self, state: &mut State, id: u8) -> Option<()> {
        let Phase::Begun {
            as_of,
            claimable,
            candidates,
        } = *state.call(id)
        else {
            return None;
        };
        let (mut moved, mut looks, mut verdicts) = ([None; MOST], [0; MOST], Vec::new());
        for (number, booking) in state.bookings.iter().enumerate() {
            // A booking that another transaction holds locked is skipped.
            if candidates[number].is_some() && !state.is_held(number) {
                let tested = self.has(Mechanism::TransitionTested);
                moved[number] = if tested {
                    Self::status_after_pass(booking, as_of)
                } else {
                    candidates[number]
                };
            }
            looks[number] = booking.looks;
            verdicts.extend(self.decide_reminders(
                state,
                number,
                moved[number].unwrap_or(booking.status),
                as_of,
            ));
        }
        if !self.has(Mechanism::OnePassTransaction) {
            state.looked_through = state.looked_through.max(as_of);
            for (booking, looks) in state.bookings.iter_mut().zip(looks) {
                booking.looks -= looks;
            }
            looks = [0; MOST];
        }
        *state.call(id) = Phase::Judged {
            as_of,
            claimable,
            moved,
            looks,
            verdicts,
        };
        Some(())
    }

    fn commit_pass(&self, state: &mut State, id: u8) -> Option<()> {
        let call = std::mem::replace(state.call(id), Phase::Idle);
        let Phase::Judged {
            as_of,
            mut claimable,
            moved,
            looks,
            verdicts,
        } = call
        else {
            return None;
        };
        for (number, booking) in state.bookings.iter_mut().enumerate() {
            if let Some(status) = moved[number] {
                let due = Self::status_after_pass(booking, as_of);
                state.wrong.forbidden_transition |= due.is_none_or(|due| status > due);
                booking.status = status;
                booking.changed = state.clock;
            }
            booking.looks -= looks[number].min(booking.looks);
        }
        state.looked_through = state.looked_through.max(as_of);
        for row in verdicts {
            if self.has(Mechanism::UniqueKey)
                && state.rows.iter().any(|known| known.key() == row.key())
            {
                continue;
            }
            claimable |= row.status == Status::Pending;
            state.rows.push(row);
        }
        if claimable {
            *state.call(id) = Phase::Turn {
                told: None,
                alone: false,
            };
        }
        Some(())
    }

    fn begin_claim(&self, state: &mut State, id: u8) -> Option<()> {
        let Phase::Turn { told, .. } = *state.call(id) else {
            return None;
        };
        // The transaction sees what it has recorded itself.
        let mut own = state.clone();
        if let Some(told) = told {
            self.apply_record(&mut own, told, state.clock);
        }
        let seen = self.claim_candidate(&own, usize::from(id)).map(|number| {
            let row = &own.rows[number];
            Seen {
                row: u8::try_from(number).unwrap(),
                verdict: self.claim_decision(&own, row),
                was_sending: row.status == Status::Sending,
            }
        });
        let at = state.clock;
        *state.call(id) = match (told, seen) {
            (None, None) => Phase::Idle,
            _ => Phase::Claiming {
                at,
                told,
                seen,
                requested: None,
            },
        };
        Some(())
    }

    fn commit_claim(&self, state: &mut State, id: u8) -> Option<()> {
        let Phase::Claiming {
            at,
            told,
            seen,
            requested,
        } = *state.call(id)
        else {
            return None;
        };
        if let Some(told) = told {
            self.apply_record(state, told, at);
        }
        let Some(seen) = seen else {
            *state.call(id) = Phase::Idle;
            return Some(());
        };
        let claim = self.apply_claim(state, seen, at);
        *state.call(id) = match (claim, requested) {
            (Some(claim), Some(outcome)) => Phase::Turn {
                told: Some(Told {
                    row: seen.row,
                    claim,
                    outcome,
                }),
                alone: false,
            },
            (Some(claim), None) => Phase::Sending {
                row: seen.row,
                claim,
                read_at: at,
            },
            (None, _) => Phase::Turn {
                told: None,
                alone: false,
            },
        };
        Some(())
    }

    /// The claim's COMMIT, executed or not, has no answer.
    fn lose_answer(&self, state: &mut State, id: u8, committed: Committed) -> Option<()> {
        state.left.lost_answers -= 1;
        let Phase::Claiming { at, told, seen, .. } = *state.call(id) else {
            return None;
        };
        let mut done = state.clone();
        if let Some(told) = told {
            self.apply_record(&mut done, told, at);
        }
        let claim = seen.and_then(|seen| Some((seen.row, self.apply_claim(&mut done, seen, at)?)));
        if committed == Committed::Yes {
            *state = done;
        }
        *state.call(id) = match claim {
            Some((row, claim)) if !self.has(Mechanism::LostClaim) => Phase::Sending {
                row,
                claim,
                read_at: at,
            },
            _ if told.is_none() => Phase::Idle,
            _ => Phase::Turn { told, alone: true },
        };
        Some(())
    }

    fn send(&self, state: &mut State, id: u8, outcome: Outcome, accepted: Accepted) -> Option<()> {
        match *state.call(id) {
            Phase::Claiming {
                at,
                told,
                seen: Some(seen),
                ..
            } => {
                self.deliver_request(state, seen.row, accepted);
                *state.call(id) = Phase::Claiming {
                    at,
                    told,
                    seen: Some(seen),
                    requested: Some(outcome),
                };
            }
            Phase::Sending { row, claim, .. } => {
                let found = &state.rows[usize::from(row)];
                let changed = state.bookings[usize::from(found.booking)].changed;
                state.wrong.too_late |= !Self::is_due(state, found) && changed != state.clock;
                self.deliver_request(state, row, accepted);
                state.end_sending(
                    id,
                    Told {
                        row,
                        claim,
                        outcome,
                    },
                );
            }
            _ => return None,
        }
        Some(())
    }

    fn send_late(
        &self,
        state: &mut State,
        id: u8,
        outcome: Outcome,
        accepted: Accepted,
    ) -> Option<()> {
        state.left.stalls -= 1;
        let Phase::Sending { row, claim, .. } = *state.call(id) else {
            return None;
        };
        self.deliver_request(state, row, accepted);
        state.end_sending(
            id,
            Told {
                row,
                claim,
                outcome,
            },
        );
        Some(())
    }

    fn record_alone(&self, state: &mut State, id: u8) -> Option<()> {
        let Phase::Turn {
            told: Some(told), ..
        } = *state.call(id)
        else {
            return None;
        };
        self.apply_record(state, told, state.clock);
        *state.call(id) = Phase::Turn {
            told: None,
            alone: false,
        };
        Some(())
    }

    fn record_unanswered(&self, state: &mut State, id: u8) -> Option<()> {
        state.left.lost_answers -= 1;
        let Phase::Turn {
            told: Some(told), ..
        } = *state.call(id)
        else {
            return None;
        };
        self.apply_record(state, told, state.clock);
        *state.call(id) = Phase::Turn {
            told: Some(told),
            alone: true,
        };
        Some(())
    }
}

impl State {
    fn call(&mut self, id: u8) -> &mut Phase {
        &mut self.calls[usize::from(id)]
    }

    fn end_sending(&mut self, id: u8, told: Told) {
        *self.call(id) = Phase::Turn {
            told: Some(told),
            alone: false,
        };
    }

    fn defer(&mut self, id: u8) -> Option<()> {
        let Phase::Sending { row, claim, .. } = *self.call(id) else {
            return None;
        };
        self.end_sending(
            id,
            Told {
                row,
                claim,
                outcome: Outcome::Deferred,
            },
        );
        Some(())
    }
}

impl Model for Reminders {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let booking = Booking {
            status: Booked::Confirmed,
            start: self.start,
            revision: 1,
            in_force_since: 0,
            looks: 0,
            changed: 0,
        };
        vec![State {
            clock: 0,
            bookings: vec![booking; self.bookings],
            rows: Vec::new(),
            looked_through: 0,
            calls: vec![Phase::Idle; self.calls],
            left: self.budget,
            wrong: Wrong::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.clock < self.horizon {
            actions.push(Action::Tick);
        }
        self.edit_actions(state, actions);
        for (number, row) in state.rows.iter().enumerate() {
            if self.tells
                && row.word_to_come
                && !state.is_locked(number, usize::MAX)
                && self.channel_is_free(state)
            {
                actions.push(Action::Word(u8::try_from(number).unwrap()));
            }
        }
        for (number, call) in state.calls.iter().enumerate() {
            let id = u8::try_from(number).unwrap();
            match call {
                Phase::Idle => {
                    if self.can_begin(state, number) {
                        actions.push(Action::Begin(id));
                    }
                }
                Phase::Begun { .. } => actions.push(Action::Judge(id)),
                Phase::Judged { .. } => actions.push(Action::CommitPass(id)),
                Phase::Turn { told, alone } => {
                    self.actions_between_transactions(state, number, *told, *alone, actions)
                }
                Phase::Claiming {
                    told,
                    seen,
                    requested,
                    ..
                } => {
                    let claims = seen.is_some_and(|seen| seen.verdict == Verdict::Claim);
                    if claims && !self.has(Mechanism::ClaimFirst) && requested.is_none() {
                        actions.extend(self.send_actions(id));
                    } else {
                        actions.push(Action::CommitClaim(id));
                    }
                    if state.left.lost_answers > 0
                        && (told.is_some() || !self.has(Mechanism::LostClaim))
                    {
                        actions.push(Action::LoseAnswer(id, Committed::Yes));
                        actions.push(Action::LoseAnswer(id, Committed::No));
                    }
                }
                Phase::Sending { read_at, .. } => {
                    if state.clock == *read_at || !self.has(Mechanism::Fresh) {
                        actions.extend(self.send_actions(id));
                    } else {
                        actions.push(Action::Defer(id));
                        if state.left.stalls > 0 {
                            let late =
                                |&(outcome, accepted)| Action::SendLate(id, outcome, accepted);
                            actions.extend(self.answers.iter().map(late));
                        }
                    }
                }
            }
            if *call != Phase::Idle && state.left.crashes > 0 {
                actions.push(Action::Crash(id));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => state.clock += 1,
            Action::Cancel(id) => self.edit_booking(&mut state, id, Some(Booked::Cancelled), None),
            Action::Move(id, start) => self.edit_booking(&mut state, id, None, Some(start)),
            Action::Confirm(id) => self.edit_booking(&mut state, id, Some(Booked::Confirmed), None),
            Action::Word(id) => self.apply_ses_event(&mut state, id),
            Action::Begin(id) => self.begin_pass(&mut state, id),
            Action::Judge(id) => self.decide_pass(&mut state, id)?,
            Action::CommitPass(id) => self.commit_pass(&mut state, id)?,
            Action::Claim(id) => self.begin_claim(&mut state, id)?,
            Action::CommitClaim(id) => self.commit_claim(&mut state, id)?,
            Action::LoseAnswer(id, committed) => self.lose_answer(&mut state, id, committed)?,
            Action::Send(id, outcome, accepted) => self.send(&mut state, id, outcome, accepted)?,
            Action::SendLate(id, outcome, accepted) => {
                self.send_late(&mut state, id, outcome, accepted)?
            }
            Action::Defer(id) => state.defer(id)?,
            Action::Record(id) => self.record_alone(&mut state, id)?,
            Action::RecordUnanswered(id) => self.record_unanswered(&mut state, id)?,
            Action::SetAside(id) => {
                state.left.broken_views -= 1;
                let number = self.claim_candidate(&state, usize::from(id))?;
                self.record_contact_failure(&mut state, number);
            }
            Action::Crash(id) => {
                state.left.crashes -= 1;
                *state.call(id) = Phase::Idle;
            }
        }
        Some(sort_calls(state))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let checks = CHECKS.iter().filter(|(name, _)| self.asked == Some(name));
        let asked = match self.asked {
            None => {
                vec![Property::always(EVERYTHING, |model, state| {
                    CHECKS.iter().all(|(_, holds)| holds(model, state))
                })]
            }
            Some(_) => checks
                .map(|(name, holds)| Property::always(name, *holds))
                .collect(),
        };
        let witnesses = WITNESSES
            .iter()
            .filter(|(name, _)| self.witnesses.contains(name));
        asked
            .into_iter()
            .chain(witnesses.map(|(name, seen)| Property::sometimes(name, *seen)))
            .collect()
    }
}

type Check = fn(&Reminders, &State) -> bool;

/// All of [`CHECKS`] in one property: this is faster than one property for each.
const EVERYTHING: &str = "everything";

/// What must hold in every state.
const CHECKS: [(&str, Check); 10] = [
    (LOST, |model, state| model.nothing_is_lost(state)),
    (ENDS, |model, state| model.ends_with_final_rows(state)),
    (TRUE, |_, state| state.completed_rows_were_sent()),
    (TWICE, |_, state| state.records_a_doubt_for_every_repeat()),
    (ATTEMPTS, |model, state| {
        state
            .rows
            .iter()
            .all(|row| row.status != Status::Sending || row.attempts <= model.attempts)
    }),
    (STALE, |_, state| !state.wrong.stale_write),
    (TRANSITION, |_, state| !state.wrong.forbidden_transition),
    (OVERLAP, |_, state| {
        state.calls.iter().filter(|call| call.is_pass()).count() <= 1
    }),
    (LATE, |_, state| !state.wrong.too_late),
    (HEARD, |_, state| {
        !state.wrong.unheard
            && !state
                .rows
                .iter()
                .any(|row| row.word && row.status == Status::Failed)
    }),
];
const LOST: &str = "I1 no due reminder is lost";
const ENDS: &str = "I1 every reminder becomes final";
const TRUE: &str = "I1 every message reported as sent was sent";
const TWICE: &str = "I2 no second mail without a recorded unknown outcome";
const ATTEMPTS: &str = "I2 no attempt after the last one";
const STALE: &str = "I3 no stale write replaces a newer one";
const TRANSITION: &str = "I3 no status change except those that time makes";
const OVERLAP: &str = "I4 no concurrent pass transactions";
const LATE: &str = "no request for a reminder that is no longer due";
const HEARD: &str = "an SES event settles an unknown outcome";

/// What must happen in some run: otherwise the model does not cover it.
const WITNESSES: [(&str, Check); 9] = [
    (SECOND, |_, state| {
        state.rows.iter().any(|row| row.mails > 1)
    }),
    (TAKEN_OVER, |_, state| {
        state
            .rows
            .iter()
            .any(|row| row.status == Status::Completed && row.claim > 1 && row.mails == 1)
    }),
    (REFUSED, |_, state| {
        state.calls.iter().any(|call| match call {
            Phase::Turn {
                told: Some(told), ..
            } => told.claim < state.rows[usize::from(told.row)].claim,
            _ => false,
        })
    }),
    (EXHAUSTED, |model, state| {
        state
            .rows
            .iter()
            .any(|row| row.status == Status::Failed && row.doubts == model.attempts)
    }),
    (SETTLED, |_, state| {
        state
            .rows
            .iter()
            .any(|row| row.status == Status::Completed && row.word && row.doubts > 0)
    }),
    (RESCHEDULED, |_, state| {
        let sent = |row: &Row| row.status == Status::Completed && row.revision > 1;
        state
            .rows
            .iter()
            .any(|row| row.status == Status::Skipped && row.revision == 1)
            && state.rows.iter().any(sent)
    }),
    (CANCELLED, |_, state| {
        state.calls.iter().any(|call| match call {
            Phase::Sending { row, .. } => {
                let booking = state.rows[usize::from(*row)].booking;
                state.bookings[usize::from(booking)].status == Booked::Cancelled
            }
            _ => false,
        })
    }),
    (SUPERSEDED, |_, state| {
        let near = || {
            state
                .rows
                .iter()
                .any(|near| near.rule == 1 && near.mails == 1)
        };
        state
            .rows
            .iter()
            .any(|row| row.status == Status::Skipped && row.rule == 0)
            && near()
    }),
    (OVER, |model, state| {
        state.clock == model.horizon
            && state
                .bookings
                .iter()
                .all(|booking| booking.status == Booked::Completed)
            && state.rows.iter().all(|row| row.status.is_final())
            && state.rows.iter().any(|row| row.status == Status::Completed)
    }),
];
const SECOND: &str = "a second mail with a recorded unknown outcome";
const TAKEN_OVER: &str = "a message that another call took over";
const REFUSED: &str = "a stale outcome";
const EXHAUSTED: &str = "a failure after the last attempt, all with unknown outcomes";
const SETTLED: &str = "an unknown outcome settled by an SES event";
const RESCHEDULED: &str = "a skipped reminder, and a sent one for the new start";
const CANCELLED: &str = "a cancellation while a call is about to send";
const SUPERSEDED: &str = "a reminder superseded by one nearer to the start";
const OVER: &str = "a completed booking with a sent mail";

impl Reminders {
    /// A due reminder has its row, or the next pass finds it.
    fn nothing_is_lost(&self, state: &State) -> bool {
        state.bookings.iter().enumerate().filter(|(_, booking)| booking.status == Booked::Confirmed).all(
            |(number, booking)| {
                self.leads.iter().enumerate().all(|(rule, &lead)| {
                    let due = state.clock < booking.start && booking.start <= state.clock + lead;
                    let is_it = |row: &Row| {
                        (usize::from(row.booking), usize::from(row.rule)) == (number, rule)
                            && (row.revision, row.starts_at) == (booking.revision, booking.start)
                    };
                    !due || booking.looks > 0
                        || booking.start > state.looked_through + lead
                        || state.rows.iter().any(is_it)
                        || state
                            .calls
                            .iter()
                            .any(|call| matches!(call, Phase::Judged { verdicts, .. } if verdicts.iter().any(is_it)))
                })
            },
        )
    }

    /// When no call has work and no time is left, every row is final. Later actions of the user and
    /// the provider are not awaited.
    fn ends_with_final_rows(&self, state: &State) -> bool {
        if state.clock < self.horizon {
            return true;
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let others = |action: &Action| {
            matches!(
                action,
                Action::Word(_)
                    | Action::Cancel(_)
                    | Action::Move(..)
                    | Action::Confirm(_)
                    | Action::Crash(_)
            )
        };
        !actions.iter().all(others)
            || state.calls.iter().all(|call| *call == Phase::Idle)
                && state.rows.iter().all(|row| row.status.is_final())
    }
}

impl State {
    /// A `completed` reminder that no call is about to send was sent.
    fn completed_rows_were_sent(&self) -> bool {
        self.rows.iter().enumerate().all(|(number, row)| {
            row.status != Status::Completed
                || row.mails > 0
                || self
                    .calls
                    .iter()
                    .any(|call| matches!(call, Phase::Sending { row, .. } if usize::from(*row) == number))
        })
    }

    fn records_a_doubt_for_every_repeat(&self) -> bool {
        self.rows.iter().all(|first| {
            let same = || self.rows.iter().filter(|row| row.key() == first.key());
            same().map(|row| row.mails).sum::<u8>() <= 1 + same().map(|row| row.doubts).sum::<u8>()
        })
    }
}

/// The calls are interchangeable: sorts them.
fn sort_calls(mut state: State) -> State {
    state.calls.sort();
    state
}

/// The bounds within which every run is checked.
fn scenarios() -> Vec<(&'static str, Reminders)> {
    const SENT: &[(Outcome, Accepted)] = &[(Outcome::Sent, Accepted::Yes)];
    const FEW: &[(Outcome, Accepted)] = &[
        (Outcome::Sent, Accepted::Yes),
        (Outcome::Unknown, Accepted::Yes),
        (Outcome::NotSent, Accepted::No),
    ];
    let long = Reminders {
        without: &[],
        calls: 2,
        bookings: 1,
        leads: &[3],
        start: 4,
        horizon: 6,
        unknown_wait: 0,
        answers: &ANSWERS,
        tells: true,
        attempts: 2,
        budget: Budget::NONE,
        asked: None,
        witnesses: &[],
    };
    let short = Reminders {
        leads: &[2],
        start: 3,
        horizon: 5,
        answers: FEW,
        ..long.clone()
    };
    let quiet = Reminders {
        answers: SENT,
        tells: false,
        ..short.clone()
    };
    let none = Budget::NONE;
    vec![
        (
            NO_CRASH,
            Reminders {
                witnesses: &[EXHAUSTED, SETTLED, OVER],
                ..long.clone()
            },
        ),
        (
            CRASHES,
            Reminders {
                budget: Budget { crashes: 2, ..none },
                witnesses: &[SECOND, TAKEN_OVER],
                ..short.clone()
            },
        ),
        (
            ANSWER,
            Reminders {
                budget: Budget {
                    lost_answers: 1,
                    ..none
                },
                witnesses: &[REFUSED],
                ..short.clone()
            },
        ),
        (
            STALL,
            Reminders {
                budget: Budget { stalls: 1, ..none },
                witnesses: &[REFUSED],
                ..short.clone()
            },
        ),
        (
            WAIT,
            Reminders {
                unknown_wait: 1,
                budget: Budget { crashes: 1, ..none },
                witnesses: &[SETTLED],
                ..short.clone()
            },
        ),
        (
            VIEW,
            Reminders {
                attempts: 3,
                answers: SENT,
                budget: Budget {
                    broken_views: 1,
                    ..none
                },
                ..long.clone()
            },
        ),
        (
            EDIT,
            Reminders {
                budget: Budget { edits: 1, ..none },
                witnesses: &[CANCELLED, RESCHEDULED],
                ..quiet.clone()
            },
        ),
        (
            EDITS,
            Reminders {
                calls: 1,
                budget: Budget {
                    edits: 2,
                    crashes: 1,
                    ..none
                },
                witnesses: &[RESCHEDULED],
                ..quiet.clone()
            },
        ),
        (
            RULES,
            Reminders {
                leads: &[2, 1],
                witnesses: &[SUPERSEDED],
                ..quiet.clone()
            },
        ),
        (
            BOOKINGS,
            Reminders {
                bookings: 2,
                witnesses: &[OVER],
                ..quiet.clone()
            },
        ),
    ]
}

const NO_CRASH: &str = "every answer of SES";
const CRASHES: &str = "two crashes";
const ANSWER: &str = "a lost answer to a `COMMIT`";
const STALL: &str = "a suspended process";
const WAIT: &str = "a wait for an SES event";
const VIEW: &str = "a view that fails for one row";
const EDIT: &str = "an edit";
const EDITS: &str = "two edits and a crash, without concurrent calls";
const RULES: &str = "two rules";
const BOOKINGS: &str = "two bookings";

fn scenario(name: &str) -> Reminders {
    scenarios()
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap()
        .1
}

/// Removed mechanisms, the guarantee that breaks, and the bounds within which the checker finds it.
const BROKEN: [(&[Mechanism], &str, &str); 26] = {
    use Mechanism::*;
    [
        (&[FencedByClaim], STALE, NO_CRASH),
        (&[FencedByStatus], STALE, ANSWER),
        (&[Lease], TWICE, NO_CRASH),
        (&[LeaseEnds], ENDS, CRASHES),
        (&[LeaseOnRecord], TWICE, CRASHES),
        (&[PassLock], OVERLAP, RULES),
        (&[PassLock, UniqueKey], TWICE, RULES),
        (&[ReadAnew], LATE, EDIT),
        (&[Fresh], LATE, EDIT),
        (&[ClaimFirst], TWICE, CRASHES),
        (&[RecordAfter], TRUE, CRASHES),
        (&[LostClaim], TWICE, ANSWER),
        (&[RowLock, StatusTested], STALE, STALL),
        (&[RowLock, StatusTested, ChannelLock], STALE, STALL),
        (&[ChannelLock], HEARD, STALL),
        (&[UnknownIsNotFailed], TWICE, NO_CRASH),
        (&[UnknownIsNotSent], TRUE, NO_CRASH),
        (&[WordLookedFor], HEARD, NO_CRASH),
        (&[WordInItsPlace], STALE, NO_CRASH),
        (&[LastAttempt], ATTEMPTS, NO_CRASH),
        (&[AsideOnRecord], TWICE, VIEW),
        (&[AsideOnRecord], HEARD, VIEW),
        (&[TransitionTested], TRANSITION, EDIT),
        (&[Looks], LOST, EDIT),
        (&[OnePassTransaction], LOST, CRASHES),
        (&[Revision], LOST, EDIT),
    ]
};

/// Mechanisms that are redundant within these bounds, while without both the guarantee breaks; and
/// what covers them.
const COVERED: [(&[Mechanism], &str, &str, &str); 5] = {
    use Mechanism::*;
    [
        (
            &[UniqueKey],
            TWICE,
            RULES,
            "the lock under which a decision looks for the row",
        ),
        (&[PassLock], TWICE, RULES, "the UNIQUE key"),
        (&[RowLock], STALE, STALL, "the outer UPDATEs' recheck"),
        (&[StatusTested], STALE, STALL, "PostgreSQL's recheck"),
        (&[ChannelLock], STALE, STALL, "the locks on the rows"),
    ]
};

fn read_source_file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Compares a table of docs/generated/model.md, found by its first line, with the result.
/// `MODEL_TABLES=write` updates it.
#[expect(
    clippy::print_stdout,
    reason = "the table can be read without the document"
)]
fn compare_documented_table(table: &str) {
    println!("{table}");
    let document = read_source_file("docs/generated/model.md");
    let head = table.lines().next().unwrap();
    let start = document
        .find(head)
        .unwrap_or_else(|| panic!("docs/generated/model.md has no table that begins with {head}"));
    let end = document[start..]
        .find("\n\n")
        .map_or(document.len(), |end| start + end + 1);
    if std::env::var("MODEL_TABLES").is_ok_and(|mode| mode == "write") {
        let written = [&document[..start], table, &document[end..]].concat();
        std::fs::write(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/generated/model.md"),
            written,
        )
        .unwrap();
    } else {
        assert_eq!(
            &document[start..end],
            table,
            "docs/generated/model.md has another table: run with MODEL_TABLES=write"
        );
    }
}

fn mechanism_names(mechanisms: &[Mechanism]) -> String {
    mechanisms
        .iter()
        .map(|mechanism| mechanism.name_and_source().0)
        .collect::<Vec<_>>()
        .join(" *and* ")
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(" ")
}

#[test]
fn every_run_of_the_model_keeps_the_guarantees() {
    let mut table =
        "| every run with | states | transitions | longest shortest path | occurs in it |\n|---|---|---|---|---|\n"
            .to_owned();
    let (mut states, mut steps, mut seen) = (0, 0, Vec::new());
    for (name, model) in scenarios() {
        let witnesses = model.witnesses;
        let checker = model.checker().spawn_bfs().join();
        let mut found = checker.discoveries();
        if let Some(path) = found.remove(EVERYTHING) {
            let broken = CHECKS
                .iter()
                .filter(|(_, holds)| !holds(checker.model(), path.last_state()));
            let broken: Vec<_> = broken.map(|(name, _)| name).collect();
            panic!("{name}: {broken:?} by {:#?}", path.into_actions());
        }
        for witness in witnesses {
            assert!(found.contains_key(witness), "{name}: nowhere {witness}");
        }
        seen.extend(witnesses);
        let (unique, all) = (checker.unique_state_count(), checker.state_count());
        assert!(unique > 10_000, "{name}: {unique} states");
        table += &format!(
            "| {name} | {} | {} | {} | {} |\n",
            thousands(unique),
            thousands(all),
            checker.max_depth(),
            witnesses.join("; ")
        );
        states += unique;
        steps += all;
    }
    assert!(states > 1_000_000, "{states}");
    assert!(
        WITNESSES.iter().all(|(name, _)| seen.contains(name)),
        "{seen:?}"
    );
    table += &format!(
        "| all | {} | {} | | |\n",
        thousands(states),
        thousands(steps)
    );
    compare_documented_table(&table);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the runs themselves are worth reading, and too long for a table"
)]
fn removing_a_mechanism_breaks_a_guarantee_in_some_run() {
    let mut table =
        "| without | violates | steps of the shortest such run | within |\n|---|---|---|---|\n"
            .to_owned();
    for (missing, breaks, name) in BROKEN {
        let model = Reminders {
            without: missing,
            asked: Some(breaks),
            witnesses: &[],
            ..scenario(name)
        };
        let checker = model.checker().spawn_bfs().join();
        let Some(path) = checker.discovery(breaks) else {
            panic!("without {missing:?}: {breaks} holds within {name}");
        };
        let actions = path.into_actions();
        println!("without {missing:?}: {breaks} broken by {actions:?}");
        table += &format!(
            "| {} | {breaks} | {} | {name} |\n",
            mechanism_names(missing),
            actions.len()
        );
    }
    compare_documented_table(&table);
}

/// A separate test, so that mutation testing can leave it out.
#[test]
fn every_mechanism_of_the_model_exists_in_the_source() {
    for (words, name, text) in BROKEN
        .iter()
        .flat_map(|(missing, ..)| *missing)
        .map(|mechanism| mechanism.name_and_source())
    {
        assert!(
            read_source_file(name).contains(text),
            "{words}: {name} has no {text:?} any more: does the model tell the truth?"
        );
    }
}

#[test]
fn each_of_two_redundant_mechanisms_is_sufficient() {
    let mut table =
        "| without | still holds | because of | within |\n|---|---|---|---|\n".to_owned();
    for (missing, holds, name, by) in COVERED {
        let model = Reminders {
            without: missing,
            asked: Some(holds),
            witnesses: &[],
            ..scenario(name)
        };
        let checker = model.checker().spawn_bfs().join();
        if let Some(path) = checker.discovery(holds) {
            panic!(
                "without {missing:?}: {holds} broken by {:?}",
                path.into_actions()
            );
        }
        assert!(checker.unique_state_count() > 10_000);
        // Without both mechanisms it does not hold, within the same bounds.
        let both = BROKEN.iter().any(|(broken, breaks, within)| {
            (*breaks, *within) == (holds, name)
                && broken.len() > 1
                && missing.iter().all(|part| broken.contains(part))
        });
        assert!(both, "{missing:?}");
        table += &format!(
            "| {} | {holds} | {by} | {name} |\n",
            mechanism_names(missing)
        );
    }
    compare_documented_table(&table);
}

/// "In the end" is checked at the end of a run: every run must end.
#[test]
fn every_run_of_the_model_ends() {
    for name in [STALL, RULES] {
        let model = scenario(name);
        let next = |state: &State| {
            let mut actions = Vec::new();
            model.actions(state, &mut actions);
            actions
                .into_iter()
                .filter_map(|action| model.next_state(state, action))
                .collect::<Vec<_>>()
        };
        // Whether all successors of a state are visited; if not, the state is on the current path.
        let mut done: HashMap<State, bool> = HashMap::new();
        let mut way: Vec<(State, Vec<State>)> = model
            .init_states()
            .into_iter()
            .map(|first| (first.clone(), next(&first)))
            .collect();
        while let Some((state, following)) = way.last_mut() {
            match following.pop() {
                None => {
                    done.insert(state.clone(), true);
                    way.pop();
                }
                Some(following) => match done.get(&following) {
                    Some(true) => {}
                    Some(false) => panic!("{name}: a circle through {following:#?}"),
                    None => {
                        done.insert(following.clone(), false);
                        let then = next(&following);
                        way.push((following, then));
                    }
                },
            }
        }
        assert!(done.len() > 10_000, "{name}: {}", done.len());
    }
}
