//! A second implementation of a booking's life: automatic steps, allowed steps and refunds, in
//! plain Rust, independent of the program and of the other reference.

/// Seconds since the beginning of a life.
pub type Time = i64;

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Who booked.
    Customer,
    /// Who is booked.
    Provider,
    /// Support.
    Admin,
    /// Another program.
    System,
}

/// All of them.
pub const ROLES: [Role; 4] = [Role::Customer, Role::Provider, Role::Admin, Role::System];

impl Role {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }
}

/// Who changed a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The automation.
    Automation,
    /// A person or program, through the API.
    Role(Role),
    /// The user's backend.
    Backend,
}

/// A status change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// From this status.
    pub from: &'static str,
    /// To this one.
    pub to: &'static str,
    /// By whom.
    pub by: By,
    /// Whether it reverted an automatic step.
    pub takes_back: bool,
    /// The decided refund in cents.
    pub refund: Option<u64>,
}

/// A booking.
#[derive(Clone, Debug)]
pub struct Life {
    /// Wait after the end before it is overdue.
    pub expire_after: Time,
    /// Wait after the end before it is completed.
    pub complete_after: Time,
    /// Whether pending bookings expire.
    pub expire_pending: bool,
    /// Its price in cents.
    pub price: u64,
    /// Its status.
    pub status: &'static str,
    /// When it starts.
    pub start: Time,
    /// How long it takes.
    pub minutes: i32,
    /// `auto_complete_blocked`.
    pub blocked: bool,
    /// Blocked because an automatic step was reverted: no step is automatic.
    pub taken_back: bool,
    /// When it was last unblocked.
    pub unblocked_at: Option<Time>,
    /// When it was completed.
    pub completed_at: Option<Time>,
    /// When it was cancelled through the program.
    pub cancelled_at: Option<Time>,
    /// Every change.
    pub changes: Vec<Change>,
}

/// A direct write to the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit {
    /// Its status.
    pub status: Option<&'static str>,
    /// Its start.
    pub start: Option<Time>,
    /// How long it takes.
    pub minutes: Option<i32>,
    /// `auto_complete_blocked`.
    pub blocked: Option<bool>,
}

const HOUR: Time = 3_600;

impl Life {
    fn end(&self) -> Time {
        self.start + Time::from(self.minutes.max(0)) * 60
    }

    fn overdue_at(&self) -> Time {
        self.end().max(self.unblocked_at.unwrap_or(Time::MIN)) + self.expire_after
    }

    fn set_status(&mut self, to: &'static str, by: By) {
        self.changes.push(Change {
            from: self.status,
            to,
            by,
            takes_back: false,
            refund: None,
        });
        self.status = to;
    }

    /// Makes the automatic steps that are due.
    pub fn advance(&mut self, now: Time) {
        let taken_back = self.blocked && self.taken_back;
        if self.status == "pending" && self.expire_pending && self.start <= now && !taken_back {
            self.set_status("expired", By::Automation);
        }
        let running = |life: &Self| life.status == "confirmed" || life.status == "in_progress";
        if running(self) && !self.blocked && self.overdue_at() <= now {
            self.set_status("expired", By::Automation);
        }
        if self.status == "confirmed" && self.start <= now && !taken_back {
            self.set_status("in_progress", By::Automation);
        }
        if self.status == "in_progress" && !self.blocked && self.end() + self.complete_after <= now
        {
            self.set_status("completed", By::Automation);
            self.completed_at = Some(now);
        }
        let started_by_time = self.changes.last().is_some_and(|change| {
            change.by == By::Automation && change.from == "confirmed" && change.to == "in_progress"
        });
        if self.status == "in_progress" && started_by_time && self.start > now && !taken_back {
            self.set_status("confirmed", By::Automation);
        }
    }

    /// The statuses before the last automatic steps; each of them can be restored.
    fn revertible_statuses(&self) -> Vec<&'static str> {
        let mut status = self.status;
        let mut before = Vec::new();
        for change in self.changes.iter().rev() {
            if change.by != By::Automation || change.to != status {
                break;
            }
            status = change.from;
            before.push(status);
        }
        before
    }

    /// Whether a role may take this step now (`Some`), and whether it reverts an automatic step.
    fn allows_step(&self, to: &str, role: Role, no_show: bool, now: Time) -> Option<bool> {
        let started = self.start <= now;
        let staff = matches!(role, Role::Admin | Role::System);
        let provider = role == Role::Provider;
        if no_show {
            let running = self.status == "confirmed" || self.status == "in_progress";
            return (to == "cancelled" && running && provider && started).then_some(false);
        }
        let paid_for = [
            "paid",
            "confirmed",
            "in_progress",
            "completed",
            "cancelled",
            "expired",
            "pending_completion",
            "pending_cancellation",
        ];
        let may = match (self.status, to) {
            ("pending", "confirmed") => (staff || provider) && !started,
            ("confirmed", "cancelled") => staff || !started,
            ("confirmed" | "in_progress", "completed") => staff || provider && started,
            (from, "refunded") => staff && paid_for.contains(&from),
            _ => false,
        };
        // What went back to `confirmed` by time is not started by a person.
        let takes_back = role != Role::Customer
            && self.status != "confirmed"
            && self.status != to
            && self.revertible_statuses().contains(&to);
        (may || takes_back).then_some(takes_back)
    }

    /// Takes the step after the automatic steps that are due. `None`: it is not allowed, and
    /// nothing changes.
    pub fn take_step(
        &mut self,
        to: &'static str,
        role: Role,
        no_show: bool,
        now: Time,
    ) -> Option<Change> {
        let mut life = self.clone();
        life.advance(now);
        let takes_back = life.allows_step(to, role, no_show, now)?;
        if takes_back {
            if life.status == "completed" {
                life.completed_at = None;
            }
            (life.blocked, life.taken_back) = (true, true);
        } else if to == "completed" {
            life.completed_at = Some(now);
        }
        let refund = (to == "cancelled").then(|| life.refund(role, no_show, now));
        if refund.is_some() {
            life.cancelled_at = Some(now);
        }
        life.changes.push(Change {
            from: life.status,
            to,
            by: By::Role(role),
            takes_back,
            refund,
        });
        life.status = to;
        *self = life;
        self.changes.last().copied()
    }

    /// The refund in cents: all until 24 hours before the start, half until 12 hours before, then
    /// nothing; all if the customer does not cancel.
    fn refund(&self, role: Role, no_show: bool, now: Time) -> u64 {
        let ahead = self.start - now;
        let percent = match role {
            _ if no_show => 0,
            Role::Customer if ahead >= 24 * HOUR => 100,
            Role::Customer if ahead >= 12 * HOUR => 50,
            Role::Customer => 0,
            _ => 100,
        };
        (self.price * percent + 50) / 100
    }

    /// Whether it can be cancelled now: the refund in cents, and until when.
    pub fn cancellation_option(
        &self,
        role: Role,
        no_show: bool,
        now: Time,
    ) -> Option<(u64, Option<Time>)> {
        let at = |moment: Time| {
            let mut life = self.clone();
            life.advance(moment);
            life.allows_step("cancelled", role, no_show, moment)
                .map(|_| life.refund(role, no_show, moment))
        };
        let mut moments = [
            self.start,
            self.end() + self.complete_after,
            self.overdue_at(),
        ];
        moments.sort_unstable();
        at(now).map(|refund| {
            (
                refund,
                moments
                    .into_iter()
                    .find(|moment| *moment > now && at(*moment).is_none()),
            )
        })
    }

    /// Applies a direct write, which no rule restricts.
    pub fn apply_edit(&mut self, edit: Edit, now: Time) {
        if let Some(status) = edit.status.filter(|status| *status != self.status) {
            self.set_status(status, By::Backend);
        }
        self.start = edit.start.unwrap_or(self.start);
        self.minutes = edit.minutes.unwrap_or(self.minutes);
        if let Some(blocked) = edit.blocked {
            if self.blocked && !blocked {
                self.unblocked_at = Some(now);
                self.taken_back = false;
            }
            self.blocked = blocked;
        }
    }
}
