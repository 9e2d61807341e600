//! A second implementation of the design's rules (transitions, reminders, delivery) in plain Rust,
//! one booking at a time, without SQL, watermarks, queues or pages. It is independent of the
//! program.
//!
//! What the design leaves open is an input: the order in which rows were written, and the requests
//! that reached the mail endpoint. The reference checks that it was allowed, and computes the
//! outcome of each message.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Seconds since the beginning of a history.
pub type Time = i64;

/// The program's settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Wait after a booking's end before it is completed.
    pub complete_after: Time,
    /// Wait after a booking's end before it is overdue.
    pub expire_after: Time,
    /// Whether pending bookings expire.
    pub expire_pending: bool,
}

/// Who is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Who booked.
    Customer,
    /// Who is booked.
    Provider,
}

/// A person's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// NULL.
    Missing,
    /// Only blanks.
    Blank,
    /// Not an address.
    Malformed,
    /// One of a person's good addresses.
    Good(u8),
}

/// A reminder rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Whom it reminds.
    pub audience: Audience,
    /// How long before the start.
    pub lead: Time,
    /// Whether it is switched on.
    pub active: bool,
    /// Whether e-mail is among its channels.
    pub by_mail: bool,
    /// Earlier due times are ignored.
    pub effective_from: Time,
}

/// A status change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// From this status.
    pub from: &'static str,
    /// To this one.
    pub to: &'static str,
    /// Whether the automation made it.
    pub automatic: bool,
    /// When it was due.
    pub due: Time,
    /// When it happened.
    pub at: Time,
}

/// A booking.
#[derive(Clone, Debug)]
pub struct Booking {
    /// Its customer, by position.
    pub customer: Option<usize>,
    /// Its provider, by position.
    pub provider: Option<usize>,
    /// Its status.
    pub status: &'static str,
    /// When it starts.
    pub start: Time,
    /// How long it takes.
    pub minutes: i32,
    /// `auto_complete_blocked`.
    pub blocked: Option<bool>,
    /// When it was last unblocked.
    pub unblocked_at: Option<Time>,
    /// How often it was confirmed or moved while confirmed.
    pub revision: u32,
    /// Since when it is confirmed for this start.
    pub in_force_since: Time,
    /// `completed_at`.
    pub completed_at: Option<Time>,
    /// Every status change.
    pub changes: Vec<Change>,
    /// Whether it is deleted.
    pub deleted: bool,
}

impl Booking {
    /// Its end, not before its start.
    pub fn end(&self) -> Time {
        self.start + 60 * Time::from(self.minutes.max(0))
    }

    /// Whether its latest change is the start by time.
    fn is_started_by_time(&self) -> bool {
        let latest = self.changes.last();
        latest.is_some_and(|change| {
            change.automatic && change.from == "confirmed" && change.to == "in_progress"
        })
    }

    fn set_status(&mut self, to: &'static str, automatic: bool, due: Time, at: Time) {
        self.changes.push(Change {
            from: self.status,
            to,
            automatic,
            due,
            at,
        });
        self.status = to;
    }

    /// The next automatic step and its due time: design 3.2, in its order.
    fn next_change(&self, settings: &Settings, as_of: Time) -> Option<(&'static str, Time)> {
        let open = matches!(self.status, "confirmed" | "in_progress");
        let blocked = self.blocked == Some(true);
        let overdue_at =
            self.end().max(self.unblocked_at.unwrap_or(Time::MIN)) + settings.expire_after;
        let completed_at = self.end() + settings.complete_after;
        if self.status == "pending" && settings.expire_pending && self.start <= as_of {
            Some(("expired", self.start))
        } else if open && !blocked && overdue_at <= as_of {
            Some(("expired", overdue_at))
        } else if self.status == "confirmed" && self.start <= as_of {
            Some(("in_progress", self.start))
        } else if self.status == "in_progress" && !blocked && completed_at <= as_of {
            Some(("completed", completed_at))
        } else if self.status == "in_progress" && self.start > as_of && self.is_started_by_time() {
            Some(("confirmed", as_of))
        } else {
            None
        }
    }
}

/// What a person changes in a booking, all at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit {
    /// Its status.
    pub status: Option<&'static str>,
    /// Its start.
    pub start: Option<Time>,
    /// How long it takes.
    pub minutes: Option<i32>,
    /// `auto_complete_blocked`.
    pub blocked: Option<Option<bool>>,
    /// Its customer.
    pub customer: Option<Option<usize>>,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be sent.
    Pending,
    /// Its sender was killed.
    Sending,
    /// It was sent.
    Completed,
    /// Ended without success.
    Failed,
    /// Not to be sent.
    Skipped,
}

/// What a message tells, and to whom.
pub type Told = (Time, i32, Option<Mailbox>);

/// A reminder: its decision and its outcome.
#[derive(Clone, Debug)]
pub struct Reminder {
    /// Of which booking, by position.
    pub booking: usize,
    /// Of which revision of its schedule.
    pub revision: u32,
    /// By which rule.
    pub rule: &'static str,
    /// To whom.
    pub audience: Audience,
    /// When it was due.
    pub due: Time,
    /// The start that it is about.
    pub start: Time,
    /// Where it is.
    pub state: State,
    /// Why.
    pub reason: Option<&'static str>,
    /// What it told when it was claimed; `None`: nothing yet, or different things.
    pub told: Option<Told>,
    /// Its sender was killed, and it was not claimed again.
    pub is_lost: bool,
    /// How often it was tried.
    pub attempts: i32,
    /// The outcome of each attempt.
    pub outcomes: Vec<&'static str>,
    /// Not tried before.
    pub free_at: Time,
    /// An input: the order in which the rows were written.
    pub seq: i64,
}

/// What the mail endpoint did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Took it.
    Sent,
    /// Throttled it.
    Throttled,
    /// Refused the message.
    Rejected,
    /// Gave no clear answer.
    Doubt,
    /// Refused the account.
    Account,
    /// Refused the account, for today.
    Quota,
}

impl Fate {
    fn is_account_refusal(self) -> bool {
        matches!(self, Self::Account | Self::Quota)
    }
}

/// The observed call.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The reminders whose requests reached the endpoint, and what it did with them.
    pub answers: HashMap<usize, Fate>,
    /// Those that ended as failed.
    pub failed: HashSet<usize>,
    /// No connection can be made.
    pub unreachable: bool,
    /// Killed while all its requests were under way.
    pub killed: bool,
    /// The call was so short, or the machine so slow, that it may have had no time for a message.
    pub short: bool,
}

/// What the summary says of the status changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// To `in_progress`.
    pub started: i64,
    /// To `completed`.
    pub completed: i64,
    /// To `expired`.
    pub expired: i64,
    /// To `confirmed`.
    pub reopened: i64,
    /// Due steps of a locked booking.
    pub remaining: i64,
}

impl Transitions {
    /// How many were made.
    pub fn total(&self) -> i64 {
        self.started + self.completed + self.expired + self.reopened
    }
}

/// What the summary says of the reminders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by the endpoint.
    pub sent: i64,
    /// Retried.
    pub retrying: i64,
    /// Retried, with an unknown outcome.
    pub unknown: i64,
    /// Given up.
    pub failed: i64,
    /// Not to be sent.
    pub skipped: i64,
    /// Left for the next call.
    pub deferred: i64,
}

/// The expected state of one history.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The program's settings.
    pub settings: Settings,
    /// The clock.
    pub now: Time,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Addresses; `None`: the person is deleted.
    pub people: Vec<Option<Mailbox>>,
    /// The bookings, including deleted ones.
    pub bookings: Vec<Booking>,
    /// The reminders, in the order of their decisions.
    pub reminders: Vec<Reminder>,
    /// Whether the account could not send when it was last tried.
    pub held: bool,
}

impl Reference {
    /// Adds a booking.
    pub fn book(&mut self, booking: Booking) {
        let (revision, in_force_since) = (1, self.now);
        self.bookings.push(Booking {
            revision,
            in_force_since,
            ..booking
        });
    }

    /// Applies a person's change of a booking.
    pub fn edit(&mut self, booking: usize, edit: &Edit) {
        let now = self.now;
        let booking = &mut self.bookings[booking];
        let (old_status, old_start, old_blocked) = (booking.status, booking.start, booking.blocked);
        booking.start = edit.start.unwrap_or(booking.start);
        booking.minutes = edit.minutes.unwrap_or(booking.minutes);
        booking.blocked = edit.blocked.unwrap_or(booking.blocked);
        booking.customer = edit.customer.unwrap_or(booking.customer);
        if let Some(status) = edit.status.filter(|status| *status != old_status) {
            booking.set_status(status, false, now, now);
        }
        // A new revision: it was confirmed, or it moved while it is confirmed.
        if booking.status == "confirmed"
            && (old_status != "confirmed" || booking.start != old_start)
        {
            booking.revision += 1;
            booking.in_force_since = now;
        }
        if old_blocked == Some(true) && booking.blocked != Some(true) {
            booking.unblocked_at = Some(now);
        }
    }

    /// Deletes a person and their bookings.
    pub fn delete_person(&mut self, person: usize) {
        self.people[person] = None;
        for booking in &mut self.bookings {
            booking.deleted |= booking.customer == Some(person) || booking.provider == Some(person);
        }
    }

    /// Makes the due steps of all bookings but the locked one.
    pub fn advance(&mut self, as_of: Time, locked: Option<usize>) -> Transitions {
        let mut made = Transitions::default();
        let settings = self.settings;
        for (position, booking) in self
            .bookings
            .iter_mut()
            .enumerate()
            .filter(|(_, booking)| !booking.deleted)
        {
            if locked == Some(position) {
                let mut would = booking.clone();
                while let Some((to, due)) = would.next_change(&settings, as_of) {
                    would.set_status(to, true, due, as_of);
                    made.remaining += 1;
                }
                continue;
            }
            while let Some((to, due)) = booking.next_change(&settings, as_of) {
                booking.set_status(to, true, due, as_of);
                match to {
                    "in_progress" => made.started += 1,
                    "completed" => made.completed += 1,
                    "confirmed" => made.reopened += 1,
                    _ => made.expired += 1,
                }
                if to == "completed" {
                    booking.completed_at = Some(as_of);
                }
                if to == "confirmed" {
                    (booking.revision, booking.in_force_since) = (booking.revision + 1, as_of);
                }
            }
        }
        made
    }

    /// Decides the reminders that are due: design 3.3. Returns how many are pending, and how many
    /// skipped.
    pub fn decide_reminders(&mut self, as_of: Time) -> (i64, i64) {
        let mut decided = Vec::new();
        for (position, booking) in self.bookings.iter().enumerate() {
            if booking.deleted || booking.status != "confirmed" || booking.start <= as_of {
                continue;
            }
            for audience in [Audience::Customer, Audience::Provider] {
                self.decide_for_audience(position, audience, as_of, &mut decided);
            }
        }
        let skipped = decided
            .iter()
            .filter(|reminder| reminder.state == State::Skipped)
            .count();
        let pending = decided.len() - skipped;
        self.reminders.extend(decided);
        (pending.try_into().unwrap(), skipped.try_into().unwrap())
    }

    /// Decides the reminders of one booking to one audience.
    fn decide_for_audience(
        &self,
        position: usize,
        audience: Audience,
        as_of: Time,
        decided: &mut Vec<Reminder>,
    ) {
        let booking = &self.bookings[position];
        let of_this = |reminder: &&Reminder| {
            reminder.booking == position
                && reminder.revision == booking.revision
                && reminder.audience == audience
        };
        let due = |rule: &Rule| booking.start - rule.lead;
        let new: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| rule.audience == audience && rule.active && rule.by_mail)
            .filter(|rule| due(rule) <= as_of && due(rule) >= rule.effective_from)
            .filter(|rule| {
                !self
                    .reminders
                    .iter()
                    .filter(of_this)
                    .any(|reminder| reminder.rule == rule.name)
            })
            .collect();
        let late = |rule: &Rule| {
            booking.in_force_since > due(rule) && 3 * (booking.start - as_of) < 2 * rule.lead
        };
        let nearest = new
            .iter()
            .filter(|rule| !late(rule))
            .min_by_key(|rule| (rule.lead, Reverse(rule.name)));
        for rule in &new {
            // A queued or sent reminder that is nearer to the start; of equal ones, the later name.
            let overtaken = self.reminders.iter().filter(of_this).any(|other| {
                other.is_queued_or_sent() && (other.due, other.rule) > (due(rule), rule.name)
            });
            let reason = if late(rule) {
                Some("booked_late")
            } else if overtaken || nearest.is_some_and(|nearest| nearest.name != rule.name) {
                Some("superseded")
            } else if matches!(
                self.mailbox(position, audience),
                None | Some(Mailbox::Missing | Mailbox::Blank)
            ) {
                Some("no_address")
            } else {
                None
            };
            decided.push(Reminder {
                booking: position,
                revision: booking.revision,
                rule: rule.name,
                audience,
                due: due(rule),
                start: booking.start,
                state: if reason.is_some() {
                    State::Skipped
                } else {
                    State::Pending
                },
                reason,
                told: None,
                is_lost: false,
                attempts: 0,
                outcomes: Vec::new(),
                free_at: self.now,
                seq: 0,
            });
        }
    }

    /// What can be claimed now.
    pub fn claimable(&self) -> Vec<usize> {
        let can = |reminder: &Reminder| {
            matches!(reminder.state, State::Pending | State::Sending)
                && reminder.free_at <= self.now
        };
        (0..self.reminders.len())
            .filter(|position| can(&self.reminders[*position]))
            .collect()
    }

    /// The number of claimable messages that must be sent.
    pub fn count_sendable(&self, as_of: Time) -> usize {
        let sendable = |position: &usize| {
            let reminder = &self.reminders[*position];
            self.skip_reason(reminder, as_of).is_none()
                && !exhausted(reminder)
                && self.mailbox(reminder.booking, reminder.audience) != Some(Mailbox::Malformed)
        };
        self.claimable()
            .iter()
            .filter(|position| sendable(position))
            .count()
    }

    /// The address of whom a booking's reminder goes to.
    pub fn mailbox(&self, booking: usize, audience: Audience) -> Option<Mailbox> {
        self.people[self.recipient(booking, audience)?]
    }

    /// Whom a booking's reminder goes to.
    pub fn recipient(&self, booking: usize, audience: Audience) -> Option<usize> {
        match audience {
            Audience::Customer => self.bookings[booking].customer,
            Audience::Provider => self.bookings[booking].provider,
        }
    }

    /// Why a queued message is not to be sent any more.
    fn skip_reason(&self, reminder: &Reminder, as_of: Time) -> Option<&'static str> {
        let booking = &self.bookings[reminder.booking];
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.name == reminder.rule && rule.audience == reminder.audience);
        let nearer = |other: &&Reminder| {
            (other.booking, other.revision, other.audience)
                == (reminder.booking, reminder.revision, reminder.audience)
                && (other.is_queued_or_sent() || other.reason == Some("already_told"))
                && (other.due, other.rule) > (reminder.due, reminder.rule)
        };
        if booking.deleted {
            return Some("deleted");
        }
        match booking.status {
            "confirmed" => {}
            "in_progress" | "completed" | "expired" => return Some("started"),
            _ => return Some("cancelled"),
        }
        if booking.revision != reminder.revision {
            Some("rescheduled")
        } else if booking.start <= as_of {
            Some("started")
        } else if !rule.is_some_and(|rule| rule.active && rule.by_mail) {
            Some("rule_off")
        } else if self.reminders.iter().any(|other| nearer(&other)) {
            Some("superseded")
        } else if self.is_told(reminder) {
            Some("already_told")
        } else {
            match self.mailbox(reminder.booking, reminder.audience) {
                None | Some(Mailbox::Missing | Mailbox::Blank) => Some("no_address"),
                Some(Mailbox::Malformed | Mailbox::Good(_)) => None,
            }
        }
    }

    fn told_now(&self, reminder: &Reminder) -> Told {
        let booking = &self.bookings[reminder.booking];
        let mailbox = self.mailbox(reminder.booking, reminder.audience);
        (booking.start, booking.minutes, mailbox)
    }

    /// Whether the latest message of the rule said the same, and nothing else was told since.
    fn is_told(&self, reminder: &Reminder) -> bool {
        let told = Some(self.told_now(reminder));
        let to_the_same = |other: &&Reminder| {
            (other.booking, other.audience) == (reminder.booking, reminder.audience)
        };
        let others = || self.reminders.iter().filter(to_the_same);
        others().any(|earlier| {
            earlier.rule == reminder.rule
                && earlier.revision < reminder.revision
                && earlier.state == State::Completed
                && earlier.told == told
                && others().all(|later| {
                    later.seq < earlier.seq || !later.may_have_arrived() || later.told == told
                })
        })
    }

    /// Delivers: design 3.4. Returns the counts, and the reminders that were claimed.
    pub fn deliver(&mut self, as_of: Time, seen: &Seen) -> Result<(Counts, Vec<usize>), String> {
        let mut queue = self.claimable();
        queue.sort_by_key(|position| {
            (
                self.reminders[*position].start,
                self.reminders[*position].seq,
            )
        });
        let mut unexplained: HashSet<usize> = seen.answers.keys().copied().collect();
        let (mut counts, mut touched, mut held_back) = (Counts::default(), Vec::new(), 0);
        loop {
            // While the account is held, one message a call tests whether it can send again.
            let trying = self.held;
            let page: Vec<usize> = queue
                .drain(
                    ..if trying {
                        queue.len().min(1)
                    } else {
                        queue.len()
                    },
                )
                .collect();
            if page.is_empty() {
                break;
            }
            touched.extend(&page);
            let reasons: Vec<_> = page
                .iter()
                .map(|position| self.skip_reason(&self.reminders[*position], as_of))
                .collect();
            let refused = page.iter().any(|position| {
                seen.answers
                    .get(position)
                    .is_some_and(|fate| fate.is_account_refusal())
            });
            let mut account_is_untested = false;
            for (position, reason) in page.into_iter().zip(reasons) {
                let was_sent = unexplained.remove(&position);
                if self.end_without_sending(position, reason, was_sent, &mut counts)? {
                    continue;
                }
                match self.attempt(position, as_of, seen, refused, &mut counts)? {
                    Attempted::Answered(fate) => {
                        self.apply_answer(position, fate, as_of, &mut counts);
                        held_back += i64::from(fate.is_account_refusal());
                        account_is_untested |= matches!(fate, Fate::Throttled | Fate::Doubt);
                        self.held &= !(trying && matches!(fate, Fate::Sent | Fate::Rejected));
                    }
                    Attempted::NotSent => account_is_untested = true,
                    Attempted::NotTried => {}
                }
            }
            self.held |= refused;
            if refused || seen.killed || (trying && account_is_untested) {
                break;
            }
        }
        if let Some(position) = unexplained.into_iter().next() {
            return Err(format!(
                "sent, and should not have been: {:?}",
                self.reminders[position]
            ));
        }
        counts.deferred = i64::try_from(self.claimable().len()).unwrap() + held_back;
        Ok((counts, touched))
    }

    /// Ends a claimed reminder that is no longer due or has no attempt left; whether it did.
    fn end_without_sending(
        &mut self,
        position: usize,
        reason: Option<&'static str>,
        was_sent: bool,
        counts: &mut Counts,
    ) -> Result<bool, String> {
        let reminder = &mut self.reminders[position];
        if reason.is_none() && !exhausted(reminder) {
            return Ok(false);
        }
        if was_sent {
            return Err(format!(
                "sent, and should not have been ({reason:?}): {reminder:?}"
            ));
        }
        match reason {
            Some(_) => counts.skipped += 1,
            None => counts.failed += 1,
        }
        reminder.is_lost = reminder.state == State::Sending;
        reminder.state = if reason.is_some() {
            State::Skipped
        } else {
            State::Failed
        };
        reminder.reason = reason.or(Some("unknown"));
        Ok(true)
    }

    /// An attempt at a claimed reminder, up to the endpoint's answer.
    fn attempt(
        &mut self,
        position: usize,
        as_of: Time,
        seen: &Seen,
        refused: bool,
        counts: &mut Counts,
    ) -> Result<Attempted, String> {
        let mailbox = self.mailbox(
            self.reminders[position].booking,
            self.reminders[position].audience,
        );
        let (now, told) = (self.now, self.told_now(&self.reminders[position]));
        let reminder = &mut self.reminders[position];
        let tells_the_same = reminder.attempts == 0 || reminder.told == Some(told);
        reminder.told = tells_the_same.then_some(told);
        // The request of a killed sender may have arrived.
        if reminder.state == State::Sending {
            reminder.outcomes.push("unknown");
        }
        reminder.reason = None;
        reminder.attempts += 1;
        if seen.killed {
            reminder.state = State::Sending;
            reminder.free_at = now + 45;
            return Ok(Attempted::NotTried);
        }
        match seen.answers.get(&position) {
            Some(fate) => Ok(Attempted::Answered(*fate)),
            None if mailbox == Some(Mailbox::Malformed)
                && (!refused || seen.failed.contains(&position)) =>
            {
                reminder.fail("bad_address");
                counts.failed += 1;
                Ok(Attempted::NotSent)
            }
            None if seen.unreachable => {
                let retried = reminder.try_again("unreachable", as_of, now);
                *(if retried {
                    &mut counts.retrying
                } else {
                    &mut counts.failed
                }) += 1;
                Ok(Attempted::NotSent)
            }
            None if refused || seen.short => {
                reminder.return_to_queue(None, now);
                Ok(Attempted::NotTried)
            }
            None => Err(format!("due, and not sent: {reminder:?}")),
        }
    }

    /// What an answer of the endpoint makes of a reminder.
    fn apply_answer(&mut self, position: usize, fate: Fate, as_of: Time, counts: &mut Counts) {
        let now = self.now;
        let reminder = &mut self.reminders[position];
        match fate {
            Fate::Sent => {
                reminder.state = State::Completed;
                reminder.outcomes.push("sent");
                counts.sent += 1;
            }
            Fate::Rejected => {
                reminder.fail("rejected");
                counts.failed += 1;
            }
            Fate::Throttled | Fate::Doubt => {
                let reason = if fate == Fate::Doubt {
                    "unknown"
                } else {
                    "throttled"
                };
                let retried = reminder.try_again(reason, as_of, now);
                let count = if fate == Fate::Doubt {
                    &mut counts.unknown
                } else {
                    &mut counts.retrying
                };
                *(if retried { count } else { &mut counts.failed }) += 1;
            }
            Fate::Account | Fate::Quota => {
                let reason = if fate == Fate::Account {
                    "account"
                } else {
                    "quota"
                };
                reminder.return_to_queue(Some(reason), now + 90);
            }
        }
    }

    /// Whether a booking's flag for a rule should be set.
    pub fn expected_flag(&self, booking: usize, rule: &str) -> bool {
        self.reminders.iter().any(|reminder| {
            (reminder.booking, reminder.rule, reminder.audience)
                == (booking, rule, Audience::Customer)
                && reminder.state == State::Completed
                && reminder.start == self.bookings[booking].start
        })
    }
}

/// What became of an attempt.
enum Attempted {
    /// The endpoint got the request.
    Answered(Fate),
    /// No request could leave.
    NotSent,
    /// The call ended before, or was killed.
    NotTried,
}

/// Its sender was killed in the last attempt.
fn exhausted(reminder: &Reminder) -> bool {
    reminder.state == State::Sending && reminder.attempts >= 5
}

impl Reminder {
    /// Ends a failed attempt; returns whether a retry follows. There are five attempts, and none
    /// after the start.
    fn is_queued_or_sent(&self) -> bool {
        matches!(
            self.state,
            State::Pending | State::Sending | State::Completed
        )
    }

    fn may_have_arrived(&self) -> bool {
        let is_unknown = self.is_lost || self.outcomes.contains(&"unknown");
        self.attempts > 0 && (matches!(self.state, State::Sending | State::Completed) || is_unknown)
    }

    fn try_again(&mut self, reason: &'static str, as_of: Time, now: Time) -> bool {
        let wait = match self.attempts {
            1 => 60,
            2 => 120,
            3 => 240,
            _ => 480,
        };
        let again = self.attempts < 5 && as_of + wait < self.start;
        self.state = if again { State::Pending } else { State::Failed };
        self.reason = Some(reason);
        self.outcomes.push(reason);
        self.free_at = now + wait;
        again
    }

    fn fail(&mut self, reason: &'static str) {
        self.state = State::Failed;
        self.reason = Some(reason);
        self.outcomes.push(reason);
    }

    /// Takes the attempt back: nothing was sent.
    fn return_to_queue(&mut self, reason: Option<&'static str>, free_at: Time) {
        self.state = State::Pending;
        self.reason = reason;
        self.attempts -= 1;
        self.free_at = free_at;
    }
}
