//! Why a pass fails.

use thiserror::Error;

use crate::database::DatabaseError;

/// Why a pass failed. It left nothing in the database but its run row.
#[derive(Debug, Error)]
pub enum PassError {
    /// The schema is missing, or older than this program can use.
    #[error(
        "the database has no booking-automation schema of this version: run `booking-automation \
         migrate` first"
    )]
    SchemaMissing,
    /// The table of the bookings, or a trigger on it, is no longer what it was when the schema was
    /// installed.
    #[error("{0}: `booking-automation check` says what to do")]
    Changed(String),
    /// Row-level security would hide bookings: the pass would find nothing due, and report success
    /// every minute.
    #[error(
        "row-level security is in force for this role on bookings, so that it may not see them \
         all: give it BYPASSRLS, or use the owner's without FORCE ROW LEVEL SECURITY"
    )]
    RowSecurity,
    /// Row-level security hides people: they would not be reminded, or would although they are
    /// deleted.
    #[error(
        "row-level security on {relation} is in force for the role {reader}, as which \
         booking_automation_contacts or booking_automation_is_live reads it, so that people would \
         not be reminded, or would although they are deleted: let the table's owner own the view \
         and the function, or give the role BYPASSRLS"
    )]
    HiddenRows {
        /// The relation.
        relation: String,
        /// The role that it is read as.
        reader: String,
    },
    /// Another session holds the lock of the pass, and no pass was committed for longer than
    /// `OVERLAP_ALARM_AFTER`.
    #[error(
        "no pass was committed for {minutes} minutes, and the advisory lock of the pass is held by \
         {holders}: end that session (pg_terminate_backend) unless it is a pass of this program"
    )]
    LockHeld {
        /// How long ago the last pass was committed.
        minutes: u64,
        /// The sessions: process, role, application_name.
        holders: String,
    },
    /// The database refused, or cannot be reached.
    ///
    /// It is not the error's `source`: printing the whole chain would print the server's text,
    /// which may quote a row.
    #[error("the pass failed: {}", .0.loggable())]
    Database(DatabaseError),
    /// The connection broke in COMMIT, and the database could not be asked whether it was
    /// committed.
    #[error("the connection broke in COMMIT, and whether the pass was committed is not known: \
        {}", .0.loggable())]
    Unsettled(DatabaseError),
}

impl PassError {
    /// Whether a statement took too long.
    pub(crate) fn is_too_slow(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_statement_timeout())
    }
}

impl From<DatabaseError> for PassError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
