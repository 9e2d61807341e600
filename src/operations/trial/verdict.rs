//! What the attempts tell the owner.

use std::collections::BTreeMap;

use crate::operations::check::finding::{Finding, Topic};
use crate::operations::trial::attempt::{Outcome, STATEMENT_TIMEOUT, Tried};

/// Of the database as it is: nothing here is an effect of `migrate`.
pub(crate) fn of_today(tried: &[Tried]) -> Vec<Finding> {
    let mut findings: Vec<_> = refused(tried)
        .into_iter()
        .map(|(words, attempts)| {
            Finding::warning(
                Topic::Steps,
                format!(
                    "tried on one booking, the database refuses these changes already today: \
                     {attempts}: {words}; a pass counts such bookings as refused"
                ),
                "let the trigger or constraint allow what the pass writes",
            )
        })
        .collect();
    let kept = attempts(tried, &Outcome::Kept);
    if !kept.is_empty() {
        findings.push(Finding::warning(
            Topic::Steps,
            format!("tried on one booking, a trigger or rule keeps the old status: {kept}"),
            "let it allow what the pass writes",
        ));
    }
    findings.extend(absent(tried));
    findings.extend(slow(tried, ""));
    findings
}

/// Of the database with the columns that `migrate` adds: what it took before, and refuses now.
pub(crate) fn of_columns(tried: &[Tried]) -> Vec<Finding> {
    let mut findings: Vec<_> = refused(tried)
        .into_iter()
        .map(|(words, attempts)| {
            Finding::error(
                Topic::Steps,
                format!(
                    "with the columns that migrate adds to bookings, the database refuses changes \
                     that it takes without them: {attempts}: {words}"
                ),
                "let that trigger, function or rule name its columns instead of whole rows, or \
                 run migrate --no-columns; migrate --no-probe adds the columns without trying",
            )
        })
        .collect();
    findings.extend(slow(tried, " with the columns that migrate adds"));
    findings
}

/// The refused attempts, by what the server says.
fn refused(tried: &[Tried]) -> BTreeMap<&str, String> {
    let mut by_words = BTreeMap::<&str, Vec<String>>::new();
    for tried in tried {
        if let Outcome::Refused { words, .. } = &tried.outcome {
            let attempts = by_words.entry(words).or_default();
            attempts.push(tried.attempt.to_string());
        }
    }
    by_words
        .into_iter()
        .map(|(words, attempts)| (words, attempts.join(", ")))
        .collect()
}

fn absent(tried: &[Tried]) -> Option<Finding> {
    let mut statuses: Vec<_> = tried
        .iter()
        .filter(|tried| tried.outcome == Outcome::Absent)
        .map(|tried| tried.attempt.status().as_str())
        .collect();
    statuses.sort_unstable();
    statuses.dedup();
    (!statuses.is_empty()).then(|| {
        Finding::warning(
            Topic::Steps,
            format!(
                "some of the pass's changes could not be tried: there is no booking in the \
                 state {}, or none was found that is not locked",
                statuses.join(", ")
            ),
            "",
        )
    })
}

fn slow(tried: &[Tried], how: &str) -> Option<Finding> {
    let slow = attempts(tried, &Outcome::Slow);
    (!slow.is_empty()).then(|| {
        Finding::warning(
            Topic::Steps,
            format!(
                "these changes were not tried to the end{how}, since one of them took longer than \
                 {} ms or waited for a lock: {slow}",
                STATEMENT_TIMEOUT.as_millis()
            ),
            "look for slow triggers on bookings",
        )
    })
}

/// The attempts with this outcome, in words.
fn attempts(tried: &[Tried], outcome: &Outcome) -> String {
    let attempts: Vec<_> = tried
        .iter()
        .filter(|tried| tried.outcome == *outcome)
        .map(|tried| tried.attempt.to_string())
        .collect();
    attempts.join(", ")
}
