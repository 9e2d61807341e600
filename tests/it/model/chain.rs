//! The checked model of chains: one message that goes by two or three channels, and each
//! interleaving of two calls, the answers of the providers, what they say later, kills, and a
//! recipient who becomes unreachable. The model beside it (`model.rs`) has the pass, the user's
//! edits and the steps within a claim's transaction; here each statement is one step, as they lock
//! the message's row first.
//!
//! | step | what the product does |
//! |---|---|
//! | `Claim` | `claim.sql`: settles, ends, moves on or claims; the lease and the claim number are committed |
//! | `Send`, `Defer` | the request to the channel's provider, or none after the three seconds |
//! | `Record` | `record.sql`, repeated after a lost answer; the hold on the channel (`hold.rs`) |
//! | `MoveHeld` | `move_on_held.sql` |
//! | `Lose` | the provider's event that a message did not arrive: `feedback.sql` with `open_next.sql` |
//! | `Change` | the recipient can no longer be reached by a channel, or can again |
//! | `Kill` | SIGKILL: the process's memory is lost |
//! | `Tick` | time passes: a lease, a back-off, the patience with a hold |

use stateright::{Checker, Model, Property};

use super::{Accepted, EVERYTHING, Status, compare_documented_table, read_source_file, thousands};

type Time = u8;

/// The lease of a claim.
const LEASE: Time = 1;
/// The wait after an attempt that failed.
const BACK_OFF: Time = 1;
/// How long a message waits for a channel that is held.
const PATIENCE: Time = 1;
/// When the booking starts. The reminder is due at 0.
const START: Time = 4;
/// When no time is left.
const HORIZON: Time = START + 1;
/// Attempts by one channel, at most: five in the product.
const ATTEMPTS: u8 = 2;
/// Channels, at most.
const MOST: usize = 3;

/// A message; a row of `booking_automation_events`. Its chain begins with the channel `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    first: u8,
    via: u8,
    status: Status,
    claim: u8,
    attempts: u8,
    next_attempt_at: Time,
    /// Whether an unknown outcome is recorded (`event_data.attempts`).
    has_doubt: bool,
    /// The provider's id of it, as recorded: the number of the request.
    message_id: Option<u8>,
    /// The first request that an event of the provider is stored of (`settled_by`).
    heard_of: Option<u8>,
    /// For the checker: it ended while its last attempt was under way.
    lapsed: bool,
}

/// A request that its provider accepted, or may have accepted as far as the sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    row: u8,
    channel: u8,
    is_accepted: bool,
    /// Whether the provider has said that it did not arrive.
    is_lost: bool,
}

/// The outcome of a request, as the sender knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Outcome {
    Sent,
    NotSent,
    Rejected,
    AccountWide,
    Unknown,
    Deferred,
}

/// A claim that a call holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Claimed {
    row: u8,
    number: u8,
    channel: u8,
}

/// The phase of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Idle,
    /// It may send.
    Sending {
        claimed: Claimed,
        read_at: Time,
    },
    /// Its outcome is not recorded yet.
    Told {
        claimed: Claimed,
        outcome: Outcome,
        request: Option<u8>,
    },
}

/// How many of each may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    kills: u8,
    stalls: u8,
    lost_answers: u8,
    events: u8,
    changes: u8,
}

impl Budget {
    const NONE: Self = Self {
        kills: 0,
        stalls: 0,
        lost_answers: 0,
        events: 0,
        changes: 0,
    };
}

/// What must never have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Wrong {
    accepted_by_two: bool,
    moved_in_doubt: bool,
    stale_write: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    clock: Time,
    rows: Vec<Row>,
    requests: Vec<Request>,
    /// Since when each channel is held.
    held_since: [Option<Time>; MOST],
    /// By which channels the recipient can be reached.
    is_reachable: [bool; MOST],
    calls: Vec<Phase>,
    left: Budget,
    wrong: Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    Claim(u8, u8),
    Send(u8, Outcome, Accepted),
    Defer(u8),
    Record(u8),
    RecordUnanswered(u8),
    MoveHeld(u8),
    Lose(u8),
    Change(u8),
    Kill(u8),
}

/// All outcomes of a request.
const ANSWERS: [(Outcome, Accepted); 6] = [
    (Outcome::Sent, Accepted::Yes),
    (Outcome::Unknown, Accepted::Yes),
    (Outcome::Unknown, Accepted::No),
    (Outcome::NotSent, Accepted::No),
    (Outcome::Rejected, Accepted::No),
    (Outcome::AccountWide, Accepted::No),
];

/// A mechanism of the product that can be removed from the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    UnknownEnds,
    EarlierDoubtEnds,
    ClaimLooksForDoubt,
    HoldLooksForDoubt,
    ClaimedMayHaveArrived,
    OnlyPendingMoves,
    FencedByClaim,
    FencedByStatus,
    NumberOfMove,
    NumberOfClaim,
    RecordMoves,
    Opens,
    OpensUnderWay,
    OneAttempt,
    OpensOfItsOwnMail,
    OpensWithoutDoubt,
}

impl Mechanism {
    /// Its name, a file and a text in it, as in the other model.
    const fn name_and_source(self) -> (&'static str, &'static str, &'static str) {
        const CLAIM: &str = "src/delivery/claim.sql";
        const CLAIM_PARTS: &str = "src/delivery/claim_sql.rs";
        const RECORD: &str = "src/delivery/record.sql";
        const HELD: &str = "src/delivery/move_on_held.sql";
        const OPEN: &str = "src/delivery/open_next.sql";
        const NO_DOUBT: &str =
            "(e.event_data @> '{\"attempts\": [{\"outcome\": \"unknown\"}]}') IS NOT TRUE";
        const FENCE: &str = "WHERE e.id = j.id AND e.status = 'sending' AND e.claim = j.claim";
        match self {
            Self::UnknownEnds => (
                "an unknown outcome ends the chain",
                RECORD,
                "j.reason IS DISTINCT FROM 'unknown' AND NOT ({ends_before} j.as_of)",
            ),
            Self::EarlierDoubtEnds => ("an earlier unknown outcome ends it", RECORD, NO_DOUBT),
            Self::ClaimLooksForDoubt => (
                "the claim's look for an unknown outcome",
                CLAIM,
                "CASE WHEN NOT ({may_have_arrived:e}) THEN {next_channel} END AS next_channel",
            ),
            Self::HoldLooksForDoubt => (
                "the look for an unknown outcome, where the channel is held",
                HELD,
                NO_DOUBT,
            ),
            Self::ClaimedMayHaveArrived => (
                "a claimed message may have arrived",
                CLAIM_PARTS,
                "{alias}.status IN ('completed', 'sending')",
            ),
            Self::OnlyPendingMoves => (
                "a claim moves on only what is pending",
                CLAIM_PARTS,
                "AND s.next_channel IS NOT NULL AND s.status = 'pending'",
            ),
            Self::FencedByClaim => ("the claim number in the fence", RECORD, FENCE),
            Self::FencedByStatus => ("the status in the fence", RECORD, FENCE),
            Self::NumberOfMove => (
                "a new claim number for what leaves a held channel",
                HELD,
                "SET via = w.next_channel, attempts = 0, claim = e.claim + 1",
            ),
            Self::NumberOfClaim => (
                "a new claim number at the first claim by the next channel",
                CLAIM,
                "SET status = 'sending', claim = e.claim + 1",
            ),
            Self::RecordMoves => (
                "the next channel after a failure",
                RECORD,
                "CASE WHEN c.next_channel IS NULL THEN c.status ELSE 'pending' END AS new_status",
            ),
            Self::Opens => (
                "the next channel for what did not arrive",
                OPEN,
                "WHERE EXISTS (SELECT FROM recorded) AND $7 AND e.rest IS NOT NULL",
            ),
            Self::OpensUnderWay => (
                "the next channel for what did not arrive, before its outcome is recorded",
                OPEN,
                "e.status IN ('sending', 'completed', 'pending', 'failed')",
            ),
            Self::OneAttempt => (
                "an event about one of several attempts opens nothing",
                OPEN,
                "AND (e.attempts <= 1",
            ),
            Self::OpensOfItsOwnMail => (
                "nothing is opened by an event about another attempt than the recorded one",
                OPEN,
                "coalesce(e.message_id, $2) = $2",
            ),
            Self::OpensWithoutDoubt => (
                "nothing is opened where one of several attempts is in doubt",
                OPEN,
                NO_DOUBT,
            ),
        }
    }
}

/// The model: its bounds and the removed mechanisms.
#[derive(Clone, Debug)]
struct Chain {
    without: &'static [Mechanism],
    calls: usize,
    channels: u8,
    answers: &'static [(Outcome, Accepted)],
    budget: Budget,
    /// The one of [`CHECKS`] that is checked, or `None` for all.
    asked: Option<&'static str>,
    /// Which of [`WITNESSES`] are looked for.
    witnesses: &'static [&'static str],
}

/// What the statements do.
impl Chain {
    fn has(&self, mechanism: Mechanism) -> bool {
        !self.without.contains(&mechanism)
    }

    fn next_channel(&self, via: u8) -> Option<u8> {
        Some(via + 1).filter(|next| *next < self.channels)
    }

    /// `claim.sql`.
    fn apply_claim(&self, state: &mut State, id: u8, number: u8) {
        let at = state.clock;
        let row = state.rows[usize::from(number)];
        let was_sending = row.status == Status::Sending;
        let can_be_reached = state.is_reachable[usize::from(row.via)];
        let may_have_arrived = row.attempts > 0
            && (was_sending && self.has(Mechanism::ClaimedMayHaveArrived)
                || row.has_doubt && self.has(Mechanism::ClaimLooksForDoubt));
        let next = self.next_channel(row.via).filter(|_| !may_have_arrived);
        let is_over = START <= at;
        let is_exhausted = was_sending && row.attempts >= ATTEMPTS;
        let mut written = row;
        written.next_attempt_at = 0;
        if row.attempts > 0 && row.heard_of.is_some() {
            written.status = Status::Completed;
            written.message_id = row.heard_of;
        } else if is_over || is_exhausted || !can_be_reached && next.is_none() {
            written.status = match can_be_reached && !is_over {
                true => Status::Failed,
                false => Status::Skipped,
            };
            written.lapsed = was_sending;
        } else if !can_be_reached {
            if was_sending && self.has(Mechanism::OnlyPendingMoves) {
                return;
            }
            let next = next.expect("a channel that follows");
            state.note_move();
            written.claim += 1;
            written.move_to(next, at);
        } else {
            let is_first = row.attempts == 0 && row.via > row.first;
            written.claim += u8::from(!is_first || self.has(Mechanism::NumberOfClaim));
            written.status = Status::Sending;
            written.attempts += 1;
            written.has_doubt |= was_sending;
            written.next_attempt_at = at + LEASE;
            state.calls[usize::from(id)] = Phase::Sending {
                claimed: Claimed {
                    row: number,
                    number: written.claim,
                    channel: row.via,
                },
                read_at: at,
            };
        }
        state.rows[usize::from(number)] = written;
    }

    /// `record.sql`, and the hold on the channel.
    fn apply_record(
        &self,
        state: &mut State,
        claimed: Claimed,
        outcome: Outcome,
        request: Option<u8>,
    ) {
        let at = state.clock;
        let held_since = &mut state.held_since[usize::from(claimed.channel)];
        match outcome {
            Outcome::AccountWide => *held_since = held_since.or(Some(at)),
            Outcome::Sent | Outcome::Rejected => *held_since = None,
            Outcome::NotSent | Outcome::Unknown | Outcome::Deferred => {}
        }
        let row = state.rows[usize::from(claimed.row)];
        let is_fenced = (row.claim == claimed.number || !self.has(Mechanism::FencedByClaim))
            && (row.status == Status::Sending || !self.has(Mechanism::FencedByStatus));
        if !is_fenced {
            return;
        }
        state.wrong.stale_write |= row.claim != claimed.number
            || row.via != claimed.channel
            || row.status != Status::Sending;
        let is_settled = row.heard_of.is_some()
            && matches!(
                outcome,
                Outcome::NotSent | Outcome::Rejected | Outcome::Unknown
            );
        let status = match outcome {
            _ if is_settled => Status::Completed,
            Outcome::Sent => Status::Completed,
            Outcome::Rejected => Status::Failed,
            Outcome::AccountWide | Outcome::Deferred => Status::Pending,
            Outcome::NotSent | Outcome::Unknown
                if row.attempts >= ATTEMPTS || START <= at + BACK_OFF =>
            {
                Status::Failed
            }
            Outcome::NotSent | Outcome::Unknown => Status::Pending,
        };
        let is_in_doubt = outcome == Outcome::Unknown && self.has(Mechanism::UnknownEnds)
            || row.has_doubt && self.has(Mechanism::EarlierDoubtEnds);
        let moves = status == Status::Failed && !is_in_doubt && at < START;
        let next = self
            .next_channel(row.via)
            .filter(|_| moves && self.has(Mechanism::RecordMoves));
        let mut written = row;
        written.has_doubt |= outcome == Outcome::Unknown && !is_settled;
        if let Some(next) = next {
            state.note_move();
            written.move_to(next, at);
        } else {
            written.status = status;
            if status == Status::Completed {
                written.message_id = request.or(row.heard_of);
            }
            if matches!(outcome, Outcome::AccountWide | Outcome::Deferred) {
                written.attempts = row.attempts.saturating_sub(1);
            }
            let wait = match outcome {
                Outcome::Deferred => 0,
                _ => BACK_OFF,
            };
            written.next_attempt_at = match status {
                // No later time exists.
                Status::Pending => HORIZON.min(at + wait),
                _ => 0,
            };
        }
        state.rows[usize::from(claimed.row)] = written;
    }

    /// Whether `move_on_held.sql` takes a message.
    fn held_too_long(&self, state: &State, row: &Row) -> bool {
        let held_since = state.held_since[usize::from(row.via)];
        row.status == Status::Pending
            && held_since.is_some_and(|since| state.clock > since + PATIENCE)
            && state.clock > PATIENCE
            && self.next_channel(row.via).is_some()
            && !(row.has_doubt && self.has(Mechanism::HoldLooksForDoubt))
    }

    /// The provider says that a request's message did not arrive: `feedback.sql`, `open_next.sql`.
    fn apply_loss(&self, state: &mut State, number: u8) {
        state.left.events -= 1;
        let request = &mut state.requests[usize::from(number)];
        request.is_lost = true;
        let number_of_row = usize::from(request.row);
        let row = state.rows[number_of_row];
        let written = &mut state.rows[number_of_row];
        written.heard_of = row.heard_of.or(Some(number));
        if matches!(row.status, Status::Pending | Status::Failed) {
            written.status = Status::Completed;
            written.message_id = Some(number);
            written.next_attempt_at = 0;
        }
        let can_open = match row.status {
            Status::Sending => self.has(Mechanism::OpensUnderWay),
            Status::Completed | Status::Pending | Status::Failed => true,
            Status::Skipped => false,
        };
        let is_only_attempt = row.attempts <= 1
            || !self.has(Mechanism::OneAttempt)
            || (row.message_id.is_none_or(|known| known == number)
                || !self.has(Mechanism::OpensOfItsOwnMail))
                && (!row.has_doubt || !self.has(Mechanism::OpensWithoutDoubt));
        let opens = can_open && is_only_attempt && state.clock < START;
        let rest = self
            .next_channel(row.via)
            .filter(|_| opens && self.has(Mechanism::Opens));
        // The UNIQUE key has the chain.
        if let Some(rest) = rest
            && state.rows.iter().all(|row| row.first != rest)
        {
            state.note_move();
            state.rows.push(Row::new(rest, state.clock));
        }
    }

    /// A request reaches its provider, or is lost.
    fn send(&self, state: &mut State, id: u8, outcome: Outcome, accepted: Accepted) -> Option<()> {
        let Phase::Sending { claimed, read_at } = state.calls[usize::from(id)] else {
            return None;
        };
        if state.clock > read_at {
            state.left.stalls -= 1;
        }
        let is_accepted = accepted == Accepted::Yes;
        for earlier in &state.requests {
            let is_elsewhere = earlier.channel != claimed.channel && !earlier.is_lost;
            state.wrong.moved_in_doubt |= is_elsewhere;
            state.wrong.accepted_by_two |= is_elsewhere && earlier.is_accepted && is_accepted;
        }
        let request = (is_accepted || outcome == Outcome::Unknown).then(|| {
            state.requests.push(Request {
                row: claimed.row,
                channel: claimed.channel,
                is_accepted,
                is_lost: false,
            });
            u8::try_from(state.requests.len() - 1).unwrap()
        });
        state.calls[usize::from(id)] = Phase::Told {
            claimed,
            outcome,
            request: request.filter(|_| outcome == Outcome::Sent),
        };
        Some(())
    }
}

impl Row {
    fn new(first: u8, at: Time) -> Self {
        Self {
            first,
            via: first,
            status: Status::Pending,
            claim: 0,
            attempts: 0,
            next_attempt_at: at,
            has_doubt: false,
            message_id: None,
            heard_of: None,
            lapsed: false,
        }
    }

    fn move_to(&mut self, channel: u8, at: Time) {
        self.via = channel;
        self.status = Status::Pending;
        self.attempts = 0;
        self.next_attempt_at = at;
    }
}

impl State {
    /// The chain moves on, which it must not do while a request may have reached the person.
    fn note_move(&mut self) {
        self.wrong.moved_in_doubt |= self.requests.iter().any(|request| !request.is_lost);
    }
}

impl Model for Chain {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            clock: 0,
            rows: vec![Row::new(0, 0)],
            requests: Vec::new(),
            held_since: [None; MOST],
            is_reachable: [true; MOST],
            calls: vec![Phase::Idle; self.calls],
            left: self.budget,
            wrong: Wrong::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let of = |number: usize| u8::try_from(number).unwrap();
        if state.clock < HORIZON {
            actions.push(Action::Tick);
        }
        for (number, row) in state.rows.iter().enumerate() {
            if self.held_too_long(state, row) {
                actions.push(Action::MoveHeld(of(number)));
            }
        }
        if state.left.events > 0 {
            let requests = state.requests.iter().enumerate();
            let tellable = requests.filter(|(_, it)| it.is_accepted && !it.is_lost);
            actions.extend(tellable.map(|(number, _)| Action::Lose(of(number))));
        }
        if state.left.changes > 0 {
            actions.extend((0..self.channels).map(Action::Change));
        }
        for (number, call) in state.calls.iter().enumerate() {
            let id = of(number);
            match call {
                Phase::Idle => {
                    let rows = state.rows.iter().enumerate();
                    let claimable = rows.filter(|(_, row)| {
                        !row.status.is_final() && row.next_attempt_at <= state.clock
                    });
                    actions.extend(claimable.map(|(row, _)| Action::Claim(id, of(row))));
                }
                Phase::Sending { read_at, .. } => {
                    let is_fresh = state.clock == *read_at;
                    if !is_fresh {
                        actions.push(Action::Defer(id));
                    }
                    if is_fresh || state.left.stalls > 0 {
                        let answers = self.answers.iter();
                        actions.extend(answers.map(|it| Action::Send(id, it.0, it.1)));
                    }
                }
                Phase::Told { .. } => {
                    actions.push(Action::Record(id));
                    if state.left.lost_answers > 0 {
                        actions.push(Action::RecordUnanswered(id));
                    }
                }
            }
            if *call != Phase::Idle && state.left.kills > 0 {
                actions.push(Action::Kill(id));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => state.clock += 1,
            Action::Claim(id, row) => self.apply_claim(&mut state, id, row),
            Action::Send(id, outcome, accepted) => self.send(&mut state, id, outcome, accepted)?,
            Action::Defer(id) => {
                let Phase::Sending { claimed, .. } = state.calls[usize::from(id)] else {
                    return None;
                };
                state.calls[usize::from(id)] = Phase::Told {
                    claimed,
                    outcome: Outcome::Deferred,
                    request: None,
                };
            }
            Action::Record(id) | Action::RecordUnanswered(id) => {
                let Phase::Told {
                    claimed,
                    outcome,
                    request,
                } = state.calls[usize::from(id)]
                else {
                    return None;
                };
                self.apply_record(&mut state, claimed, outcome, request);
                match action {
                    Action::Record(_) => state.calls[usize::from(id)] = Phase::Idle,
                    _ => state.left.lost_answers -= 1,
                }
            }
            Action::MoveHeld(number) => {
                let row = state.rows[usize::from(number)];
                let next = self.next_channel(row.via)?;
                state.note_move();
                let at = state.clock;
                let row = &mut state.rows[usize::from(number)];
                row.claim += u8::from(self.has(Mechanism::NumberOfMove));
                row.move_to(next, at);
            }
            Action::Lose(number) => self.apply_loss(&mut state, number),
            Action::Change(channel) => {
                state.left.changes -= 1;
                let is_reachable = &mut state.is_reachable[usize::from(channel)];
                *is_reachable = !*is_reachable;
            }
            Action::Kill(id) => {
                state.left.kills -= 1;
                state.calls[usize::from(id)] = Phase::Idle;
            }
        }
        // The calls are interchangeable.
        state.calls.sort();
        Some(state).filter(|state| state != before)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let asked = match self.asked {
            None => vec![Property::always(EVERYTHING, |model, state| {
                CHECKS.iter().all(|(_, holds)| holds(model, state))
            })],
            Some(asked) => CHECKS
                .iter()
                .filter(|(name, _)| *name == asked)
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

type Check = fn(&Chain, &State) -> bool;

/// What must hold in every state.
const CHECKS: [(&str, Check); 6] = [
    (TWO, |_, state| !state.wrong.accepted_by_two),
    (DOUBT, |_, state| !state.wrong.moved_in_doubt),
    (USED, |model, state| model.uses_the_next_channel(state)),
    (ENDS, |model, state| model.ends_or_waits(state)),
    (TRUE, |_, state| {
        state.rows.iter().enumerate().all(|(number, row)| {
            let is_of_it = |it: &Request| usize::from(it.row) == number && it.channel == row.via;
            row.status != Status::Completed
                || (state.requests.iter()).any(|it| it.is_accepted && is_of_it(it))
        })
    }),
    (STALE, |_, state| !state.wrong.stale_write),
];
const TWO: &str =
    "no message is accepted by two channels, unless the first one is known to be lost";
const DOUBT: &str = "the chain does not move on while the message may have arrived";
const USED: &str = "the next channel is used if nothing is in doubt";
const ENDS: &str = "every message ends or waits";
const TRUE: &str = "every message reported as sent was sent, by that channel";
const STALE: &str = "no stale outcome is recorded";

impl Chain {
    /// Before the start, where no request is in doubt and none arrived: the message waits, or has
    /// ended by its last channel.
    fn uses_the_next_channel(&self, state: &State) -> bool {
        let is_in_doubt = |row: &Row| row.has_doubt || row.lapsed;
        state.clock >= START
            || !state.requests.iter().all(|request| request.is_lost)
            || state.rows.iter().any(is_in_doubt)
            || (state.rows.iter())
                .any(|row| !row.status.is_final() || self.next_channel(row.via).is_none())
    }

    /// When no time is left, and no call has work, every message is final.
    fn ends_or_waits(&self, state: &State) -> bool {
        if state.clock < HORIZON {
            return true;
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let is_ours = |action: &Action| {
            !matches!(
                action,
                Action::Lose(_) | Action::Change(_) | Action::Kill(_)
            ) && self.next_state(state, *action).is_some()
        };
        actions.iter().any(is_ours)
            || state.calls.iter().all(|call| *call == Phase::Idle)
                && state.rows.iter().all(|row| row.status.is_final())
    }
}

/// What must happen in some run: otherwise the model does not cover it.
const WITNESSES: [(&str, Check); 8] = [
    (NEXT, |_, state| {
        (state.rows.iter()).any(|row| row.via > row.first && row.status == Status::Completed)
    }),
    (HELD, |_, state| {
        state.held_since[0].is_some() && state.rows[0].via == 1 && state.requests.is_empty()
    }),
    (UNREACHABLE, |_, state| {
        !state.is_reachable[0] && state.rows[0].via == 1 && state.clock == 0
    }),
    (IN_DOUBT, |_, state| {
        let row = state.rows[0];
        row.status == Status::Failed && row.has_doubt && row.via == 0
    }),
    (OPENED, |_, state| {
        (state.rows.get(1)).is_some_and(|row| row.status == Status::Completed)
    }),
    (EARLY, |_, state| {
        state.rows.len() > 1 && state.rows[0].status == Status::Sending
    }),
    (ONE_OF_TWO, |_, state| {
        state.rows.len() == 1
            && state.requests.len() > 1
            && state.requests.iter().any(|request| request.is_lost)
    }),
    (THIRD, |_, state| {
        (state.rows.get(2)).is_some_and(|row| row.status == Status::Completed)
    }),
];
const NEXT: &str = "a message sent by the next channel";
const HELD: &str = "a message that leaves a held channel";
const UNREACHABLE: &str = "a message whose recipient cannot be reached by its channel";
const IN_DOUBT: &str = "a chain that ends after an unknown outcome";
const OPENED: &str = "the rest of a chain, sent after the message did not arrive";
const EARLY: &str = "the rest of a chain, opened before the outcome is recorded";
const ONE_OF_TWO: &str = "an event about one of two attempts, which opens nothing";
const THIRD: &str = "a third channel after two that did not arrive";

/// The bounds within which every run is checked.
fn scenarios() -> Vec<(&'static str, Chain)> {
    const OF_A_MESSAGE: &[(Outcome, Accepted)] = &[
        (Outcome::Sent, Accepted::Yes),
        (Outcome::Unknown, Accepted::Yes),
        (Outcome::Unknown, Accepted::No),
        (Outcome::NotSent, Accepted::No),
        (Outcome::Rejected, Accepted::No),
    ];
    const FEW: &[(Outcome, Accepted)] = &[
        (Outcome::Sent, Accepted::Yes),
        (Outcome::Unknown, Accepted::Yes),
        (Outcome::NotSent, Accepted::No),
        (Outcome::Rejected, Accepted::No),
    ];
    const WITH_HOLDS: &[(Outcome, Accepted)] = &[
        (Outcome::Sent, Accepted::Yes),
        (Outcome::Unknown, Accepted::Yes),
        (Outcome::Rejected, Accepted::No),
        (Outcome::AccountWide, Accepted::No),
    ];
    let all = Chain {
        without: &[],
        calls: 2,
        channels: 2,
        answers: &ANSWERS,
        budget: Budget::NONE,
        asked: None,
        witnesses: &[],
    };
    let none = Budget::NONE;
    vec![
        (
            ANSWER,
            Chain {
                witnesses: &[NEXT, HELD, IN_DOUBT],
                ..all.clone()
            },
        ),
        (
            EVENTS,
            Chain {
                answers: OF_A_MESSAGE,
                budget: Budget { events: 2, ..none },
                witnesses: &[OPENED, EARLY, ONE_OF_TWO],
                ..all.clone()
            },
        ),
        (
            KILLS,
            Chain {
                answers: FEW,
                budget: Budget {
                    kills: 2,
                    events: 1,
                    ..none
                },
                witnesses: &[OPENED],
                ..all.clone()
            },
        ),
        (
            STALL,
            Chain {
                answers: FEW,
                budget: Budget {
                    stalls: 1,
                    events: 1,
                    ..none
                },
                witnesses: &[ONE_OF_TWO],
                ..all.clone()
            },
        ),
        (
            LOST_ANSWER,
            Chain {
                answers: WITH_HOLDS,
                budget: Budget {
                    lost_answers: 1,
                    ..none
                },
                witnesses: &[NEXT, HELD],
                ..all.clone()
            },
        ),
        (
            CHANGES,
            Chain {
                answers: FEW,
                budget: Budget {
                    changes: 2,
                    kills: 1,
                    ..none
                },
                witnesses: &[UNREACHABLE],
                ..all.clone()
            },
        ),
        (
            THREE,
            Chain {
                calls: 1,
                channels: 3,
                answers: FEW,
                budget: Budget {
                    kills: 1,
                    events: 2,
                    ..none
                },
                witnesses: &[THIRD],
                ..all
            },
        ),
    ]
}

const ANSWER: &str = "every answer of the providers";
const EVENTS: &str = "two messages that do not arrive";
const KILLS: &str = "two kills, and a message that does not arrive";
const STALL: &str = "a suspended process, and a message that does not arrive";
const LOST_ANSWER: &str = "a lost answer to the `COMMIT` of a record";
const CHANGES: &str = "a recipient who becomes unreachable and reachable, and a kill";
const THREE: &str = "three channels, a kill and two messages that do not arrive, by one call";

fn scenario(name: &str) -> Chain {
    scenarios()
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap()
        .1
}

/// Removed mechanisms, the guarantee that breaks, and the bounds within which the checker finds it.
const BROKEN: [(&[Mechanism], &str, &str); 19] = {
    use Mechanism::*;
    [
        (&[UnknownEnds], DOUBT, ANSWER),
        (&[UnknownEnds], TWO, ANSWER),
        (&[EarlierDoubtEnds], DOUBT, ANSWER),
        (&[ClaimLooksForDoubt], DOUBT, CHANGES),
        (&[HoldLooksForDoubt], DOUBT, ANSWER),
        (&[ClaimedMayHaveArrived, OnlyPendingMoves], DOUBT, CHANGES),
        (&[ClaimedMayHaveArrived, OnlyPendingMoves], TWO, CHANGES),
        (&[FencedByClaim], STALE, ANSWER),
        (&[FencedByStatus], STALE, LOST_ANSWER),
        (&[NumberOfClaim], STALE, LOST_ANSWER),
        (&[NumberOfMove, NumberOfClaim], STALE, LOST_ANSWER),
        (&[NumberOfMove, FencedByStatus], STALE, LOST_ANSWER),
        (&[RecordMoves], USED, ANSWER),
        (&[Opens], USED, EVENTS),
        (&[OpensUnderWay], USED, EVENTS),
        (&[OneAttempt], DOUBT, EVENTS),
        (&[OneAttempt], TWO, EVENTS),
        (&[OpensWithoutDoubt], DOUBT, EVENTS),
        (&[OpensOfItsOwnMail, OpensWithoutDoubt], DOUBT, EVENTS),
    ]
};

/// Mechanisms that are redundant within these bounds; and what covers them.
const COVERED: [(&[Mechanism], &str, &str, &str); 4] = {
    use Mechanism::*;
    [
        (
            &[NumberOfMove],
            STALE,
            LOST_ANSWER,
            "the status in the fence, and the number of the next claim",
        ),
        (
            &[ClaimedMayHaveArrived],
            DOUBT,
            CHANGES,
            "a claim moves on only what is pending",
        ),
        (
            &[OnlyPendingMoves],
            DOUBT,
            CHANGES,
            "a claimed message may have arrived",
        ),
        (
            &[OpensOfItsOwnMail],
            DOUBT,
            EVENTS,
            "an earlier attempt that may have arrived is on record as a doubt",
        ),
    ]
};

fn names(mechanisms: &[Mechanism]) -> String {
    mechanisms
        .iter()
        .map(|mechanism| mechanism.name_and_source().0)
        .collect::<Vec<_>>()
        .join(" *and* ")
}

#[test]
fn every_run_of_a_chain_keeps_the_guarantees() {
    let mut table = "| of a chain, every run with | states | transitions | longest shortest path | occurs in it |\n|---|---|---|---|---|\n"
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
fn removing_a_mechanism_of_chains_breaks_a_guarantee_in_some_run() {
    let mut table = "| of a chain, without | violates | steps of the shortest such run | within |\n|---|---|---|---|\n"
        .to_owned();
    for (missing, breaks, name) in BROKEN {
        let model = Chain {
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
            names(missing),
            actions.len()
        );
    }
    compare_documented_table(&table);
}

#[test]
fn each_of_two_redundant_mechanisms_of_chains_is_sufficient() {
    let mut table =
        "| of a chain, without | still holds | because of | within |\n|---|---|---|---|\n"
            .to_owned();
    for (missing, holds, name, by) in COVERED {
        let model = Chain {
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
        // Without both mechanisms it does not hold, within the same bounds.
        let both = BROKEN.iter().any(|(broken, breaks, within)| {
            (*breaks, *within) == (holds, name)
                && broken.len() > 1
                && missing.iter().all(|part| broken.contains(part))
        });
        assert!(both, "{missing:?}");
        table += &format!("| {} | {holds} | {by} | {name} |\n", names(missing));
    }
    compare_documented_table(&table);
}

/// A separate test, so that mutation testing can leave it out.
#[test]
fn every_mechanism_of_chains_exists_in_the_source() {
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
