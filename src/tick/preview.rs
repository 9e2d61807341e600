//! What a pass would do now: the dry run.

use crate::bookings::transitions::{self, Moments};
use crate::database::{Begin, Database};
use crate::primitives::call::Call;
use crate::reminders::quiet_hours::hand_over_names;
use crate::reminders::{decisions, digests, notices};
use crate::tick::error::PassError;
use crate::tick::pass::{begin_pass, refuse_hidden_rows, waiting_reminders};
use crate::tick::preconditions::{PRECONDITIONS, Preconditions};
use crate::tick::probe::probe;
use crate::tick::settings::PassSettings;
use crate::tick::summary::Work;
use crate::tick::trigger::Trigger;

/// What a pass would do now.
///
/// It asks the pass's questions in a read-only transaction, takes no lock and writes nothing.
///
/// # Errors
/// As [`crate::tick::pass::run`]; nothing is recorded.
pub(crate) async fn preview(
    database: &Database,
    settings: &PassSettings,
    call: &Call,
) -> Result<Work, PassError> {
    let begin = Begin {
        read_only: true,
        ..begin_pass(call)
    };
    let ask = format!("SELECT {}", *PRECONDITIONS);
    let (transaction, rows) = database.begin(&begin, &ask).await?;
    let preconditions = Preconditions::of(&rows).unwrap_or_default();
    let as_of = call.as_of.unwrap_or(preconditions.clock);
    let rules = preconditions.rules(&settings.transitions)?;
    let moments = Moments::new(as_of, &rules.settings);
    let due = probe(&transaction, settings, &rules, &moments, None).await?;
    preconditions.check_triggers()?;
    if due.reads_contacts() || due.transitions {
        refuse_hidden_rows(&transaction, due.reads_contacts()).await?;
    }
    let transitions = transitions::preview(&transaction, &moments, &rules).await?;
    if due.reads_names {
        hand_over_names(&transaction, rules.liveness, as_of, as_of).await?;
    }
    let mut decisions =
        decisions::preview(&transaction, rules.liveness, as_of, &due.watermark).await?;
    if due.notices {
        decisions.add(notices::preview(&transaction, as_of).await?);
    }
    let digests = digests::preview(&transaction, rules.liveness, &due.digests, as_of);
    decisions.add(digests.await?);
    transaction.rollback().await?;
    Ok(Work {
        transitions,
        reminders: waiting_reminders(&due, &decisions),
        backlog: due.backlog,
        ..Work::none(Trigger::Cli.as_str(), as_of)
    })
}
