//! The channels of the rules: those that are not set up, and entries that have one in common.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use crate::channels::Channel;
use crate::database::{Result, Transaction};
use crate::delivery::Channels;
use crate::operations::check::finding::{Finding, Topic};

/// The step that allows SMS, push and chains.
pub(crate) const ALLOWS_CHAINS: &str = "31_channels";

/// The tables of rules.
const TABLES: [&str; 3] = [
    "reminder_rules",
    "booking_automation_notice_rules",
    "booking_automation_digest_rules",
];
/// What sets a channel up. Mail always has a sender where anything is sent.
const SET_UP_BY: [(Channel, &str); 2] = [
    (Channel::Sms, "SMS_FROM"),
    (Channel::Push, "FCM_CREDENTIALS"),
];

/// An active rule.
#[derive(Debug)]
struct Rule {
    table: &'static str,
    name: String,
    audience: String,
    entries: BTreeSet<String>,
}

/// Looks at the active rules. `set_up` are the channels that this process can use; `None`: it does
/// not send.
pub(crate) async fn look(
    transaction: &Transaction,
    set_up: Option<Channels>,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for table in TABLES {
        let sql = format!(
            "SELECT name, audience, channels FROM public.{table} WHERE active ORDER BY 1, 2"
        );
        for row in transaction.query(&sql, &[]).await? {
            let rule = Rule::of(table, &row);
            if let Some(set_up) = set_up {
                findings.extend(rule.not_set_up(set_up));
            }
            findings.extend(rule.repeated());
        }
    }
    Ok(findings)
}

impl Rule {
    fn of(table: &'static str, row: &Row) -> Self {
        let entries: Vec<String> = row.get("channels");
        Self {
            table,
            name: row.get("name"),
            audience: row.get("audience"),
            entries: entries.into_iter().collect(),
        }
    }

    /// How many entries have the channel. The same entry twice is one message.
    fn entries_with(&self, channel: Channel) -> usize {
        let has = |entry: &&String| entry.split('>').any(|one| one == channel.as_str());
        self.entries.iter().filter(has).count()
    }

    fn title(&self) -> String {
        let Self {
            table,
            name,
            audience,
            ..
        } = self;
        format!("the rule {name} for the {audience} ({table})")
    }

    fn not_set_up(&self, set_up: Channels) -> Vec<Finding> {
        let missing = SET_UP_BY
            .into_iter()
            .filter(|(channel, _)| !set_up.contains(*channel) && self.entries_with(*channel) > 0);
        let finding = |(channel, setting): (Channel, &str)| {
            let text = format!(
                "{} has the channel {channel}, which is not set up in the settings of this call",
                self.title()
            );
            let remedy = format!(
                "set {setting} where the passes run, or take {channel} out of the rule's channels"
            );
            Finding::warning(Topic::Channels, text, remedy)
        };
        missing.map(finding).collect()
    }

    fn repeated(&self) -> Vec<Finding> {
        let repeated = Channel::ALL
            .iter()
            .filter(|channel| self.entries_with(**channel) > 1);
        let finding = |channel: &Channel| {
            let entries: Vec<_> = self.entries.iter().map(String::as_str).collect();
            let text = format!(
                "{} has {channel} in several entries ({}): a person may get two messages by it",
                self.title(),
                entries.join(", ")
            );
            let remedy = "let its entries have no channel in common, or write one chain";
            Finding::warning(Topic::Channels, text, remedy)
        };
        repeated.map(finding).collect()
    }
}
