//! What a look at the database found.

use serde::{Deserialize, Serialize};

use crate::delivery::Channels;
use crate::primitives::names::named;

named! {
    /// How bad it is.
    pub enum Level {
        /// It fits.
        Ok = "ok",
        /// It works, but less than the owner may expect.
        Warning = "warning",
        /// The program cannot work with it; `migrate` refuses.
        Error = "error",
    }
}

named! {
    /// What was looked at.
    pub enum Topic {
        /// The connection and the server's version.
        Connection = "connection",
        /// Whether the schema is migrated.
        Schema = "schema",
        /// The privileges of the role that is connected.
        Rights = "rights",
        /// Roles that may create objects in the schema `public`.
        Public = "public",
        /// The tables `bookings`, `users` and `services`.
        Tables = "tables",
        /// The columns of `bookings`.
        Columns = "columns",
        /// What uses the row type of `bookings`, or copies whole rows.
        Rows = "rows",
        /// The view `booking_automation_contacts`.
        View = "view",
        /// The functions that the owner may replace.
        Functions = "functions",
        /// The statuses that the column can hold, and those in the data.
        Statuses = "statuses",
        /// Functions and tables that have our names.
        Names = "names",
        /// Settings of the server, the database and the role.
        Settings = "settings",
        /// Notices that wait for a decision.
        Notices = "notices",
        /// The channels of the rules.
        Channels = "channels",
        /// The owner's own texts of messages.
        Templates = "templates",
        /// How long the sweep takes.
        Sweep = "sweep",
        /// What the database says to the pass's own changes when `migrate` tries them.
        Steps = "steps",
    }
}

/// What the findings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Only to know.
    Check {
        /// The channels that the settings set up.
        set_up: Channels,
    },
    /// The schema is to be migrated next.
    Migrate(MigrateOptions),
}

/// What `migrate` is asked to do otherwise than usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrateOptions {
    /// Create missing base tables beside other tables.
    pub create_base_tables: bool,
    /// Add no column to `bookings`, now and later.
    pub no_columns: bool,
    /// Do not try the pass's own changes first.
    pub no_probe: bool,
}

impl Intent {
    /// The channels that are set up; `None`: the settings do not matter.
    pub(crate) fn set_up(self) -> Option<Channels> {
        match self {
            Self::Check { set_up } => Some(set_up),
            Self::Migrate(_) => None,
        }
    }

    pub(crate) fn creates_base_tables(self) -> bool {
        matches!(self, Self::Migrate(options) if options.create_base_tables)
    }

    pub(crate) fn adds_no_columns(self) -> bool {
        matches!(self, Self::Migrate(options) if options.no_columns)
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub topic: Topic,
    /// What is so.
    pub text: String,
    /// What the owner can do; empty if there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    pub(crate) fn ok(topic: Topic, text: impl Into<String>) -> Self {
        Self::new(Level::Ok, topic, text, "")
    }

    pub(crate) fn warning(
        topic: Topic,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, topic, text, remedy)
    }

    pub(crate) fn error(topic: Topic, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Error, topic, text, remedy)
    }

    fn new(level: Level, topic: Topic, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level,
            topic,
            text: text.into(),
            remedy: remedy.into(),
        }
    }

    /// What is so, and what to do.
    pub fn sentence(&self) -> String {
        match self.remedy.is_empty() {
            true => self.text.clone(),
            false => format!("{}; {}", self.text, self.remedy),
        }
    }
}

/// The errors' sentences, a line each, and what they mean for `migrate`; `None`: there is none.
pub fn refusal(findings: &[Finding]) -> Option<String> {
    let lines: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == Level::Error)
        .map(|finding| format!("\n- {}: {}", finding.topic, finding.sentence()))
        .collect();
    (!lines.is_empty()).then(|| {
        format!(
            "this database does not fit, and nothing was changed:{}",
            lines.concat()
        )
    })
}
