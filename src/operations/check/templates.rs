//! The owner's own texts that are broken: the built-in ones are used in their place.

use crate::database::{Result, Transaction};
use crate::delivery::templates::read_templates;
use crate::messages::wording::Wording;
use crate::operations::check::finding::{Finding, Topic};

/// The step that creates the table.
pub(crate) const TABLE: &str = "25_templates";
/// Texts that have a finding of their own; the others are counted.
const NAMED: usize = 20;

/// Tries each active text with sample data.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let wording = Wording::of(read_templates(transaction, false).await?);
    wording.try_with_samples();
    let broken = wording.broken();
    let warning = |text: String| {
        let remedy = "the built-in text is used; correct it, or set active to false";
        Finding::warning(Topic::Templates, text, remedy)
    };
    let mut findings: Vec<_> = (broken.iter().take(NAMED))
        .map(|broken| warning(broken.to_string()))
        .collect();
    if let Some(more) = broken.len().checked_sub(NAMED).filter(|more| *more > 0) {
        findings.push(warning(format!("{more} more are broken")));
    }
    Ok(findings)
}
