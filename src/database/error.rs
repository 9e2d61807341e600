//! Database errors, and what each affects: one row, one statement, or the connection.

use std::time::Duration;

use deadpool_postgres::PoolError;
use thiserror::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::database::rights;
use crate::primitives::errors::{error_chain, shortened};

/// Why the database did not do what it was asked.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No connection: refused, wrong credentials, failed verification, or too slow.
    #[error("the database cannot be reached")]
    Unreachable(#[source] PoolError),
    /// A connection that stopped answering.
    #[error("the database did not answer within {:.1} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server refused a statement, or the connection broke in it.
    #[error("a statement failed")]
    Statement(#[from] tokio_postgres::Error),
}

impl DatabaseError {
    /// The SQLSTATE, if the error came from the server.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => error.code(),
            Self::Unreachable(_) | Self::Timeout(_) => None,
        }
    }

    fn server_error(&self) -> Option<&DbError> {
        match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => {
                error.as_db_error()
            }
            Self::Unreachable(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether the connection is lost, so that the outcome of the statement is unknown. A server
    /// that shuts down or crashes may still send an error; a COMMIT that gets such an answer may
    /// have succeeded. A trigger can raise an error with any code: only its severity says whether
    /// the session is over.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Timeout(_) => true,
            Self::Statement(error) => match error.as_db_error() {
                None => true,
                Some(refused) => match refused.parsed_severity() {
                    Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
                    // A pooler that does not say it.
                    None => ["08", "57"].contains(&&refused.code().code()[..2]),
                },
            },
        }
    }

    /// Whether the server accepts no writes: a standby refuses read-write transactions.
    pub(crate) fn is_read_only_server(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                SqlState::FEATURE_NOT_SUPPORTED,
                SqlState::READ_ONLY_SQL_TRANSACTION,
            ]
            .contains(code)
        })
    }

    /// Whether a single row may have made the statement fail: a constraint, a value, a lock, or a
    /// trigger of the user's database, which can raise any code and be slow. Such a row must not
    /// stop the others. Where the server itself has a fault (no space, say), statements of our own
    /// fail alike.
    pub(crate) fn is_of_a_row(&self) -> bool {
        matches!(self, Self::Statement(_)) && !self.is_lost_connection()
    }

    /// Whether the contents of a row may have made the statement fail, in a view or a function of
    /// the owner. What is missing or forbidden (class 42) fails for every row, and a lock ends.
    pub(crate) fn is_of_contents(&self) -> bool {
        let is_of_names = |code: &SqlState| code.code().starts_with("42");
        self.is_of_a_row() && !self.is_lock() && !self.code().is_some_and(is_of_names)
    }

    /// Whether a statement exceeded its time limit.
    pub(crate) fn is_statement_timeout(&self) -> bool {
        self.code() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether the database took too long: the server says so, or did not answer in time.
    pub(crate) fn is_too_slow(&self) -> bool {
        matches!(self, Self::Timeout(_)) || self.is_statement_timeout()
    }

    /// Whether another session's lock was not released in time.
    pub(crate) fn is_lock(&self) -> bool {
        self.code().is_some_and(|code| is_lock(code.code()))
    }

    /// Whether the server, or the role, has as many sessions as it may.
    pub(crate) fn is_out_of_connections(&self) -> bool {
        self.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
    }

    /// Whether the database's encoding cannot store a text.
    pub(crate) fn is_untranslatable(&self) -> bool {
        self.code() == Some(&SqlState::UNTRANSLATABLE_CHARACTER)
    }

    /// The server's message and hint, for a person who runs a command. It leaves out the detail,
    /// which may quote a row.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => {
                match error.as_db_error() {
                    Some(refused) => {
                        let hint = refused
                            .hint()
                            .map(|hint| format!(" ({hint})"))
                            .unwrap_or_default();
                        shortened(format!(
                            "{}: {}{hint}",
                            refused.code().code(),
                            refused.message()
                        ))
                    }
                    None => error_chain(error),
                }
            }
            Self::Unreachable(error) => error_chain(error),
            Self::Timeout(_) => self.to_string(),
        }
    }

    /// The function in which the server refused, if its context names one in English. The rest of
    /// the context may quote a row.
    pub(crate) fn function(&self) -> Option<&str> {
        let Self::Statement(error) = self else {
            return None;
        };
        let context = error.as_db_error()?.where_()?;
        context.lines().find_map(|line| {
            let of_plpgsql = line.strip_prefix("PL/pgSQL function ");
            let of_sql = line.strip_prefix("SQL function ");
            of_plpgsql
                .and_then(|rest| rest.split(" line ").next())
                .or_else(|| of_sql.and_then(|rest| rest.split('"').nth(1)))
        })
    }

    /// Message, hint and detail, for our own tables only.
    pub fn details(&self) -> String {
        let detail = self
            .server_error()
            .and_then(|refused| refused.detail())
            .map(|detail| format!(" [{}]", shortened(detail.to_owned())));
        self.message() + &detail.unwrap_or_default()
    }

    /// What may be logged. A server message may quote a row, or come from a trigger of the user's
    /// database. So only messages about connections (08), log-ins (28, 3D), resources (53), the
    /// operator (57), and names and privileges are logged; of all others, only the SQLSTATE.
    pub fn loggable(&self) -> String {
        let is_login = matches!(self, Self::Unreachable(_));
        let what = match self.code() {
            Some(_) if is_login => self.details(),
            Some(code) if !["08", "28", "3D", "53", "57"].contains(&&code.code()[..2]) => {
                let about = self.about_names().map(|about| format!(": {about}"));
                format!("SQLSTATE {}{}", code.code(), about.unwrap_or_default())
            }
            _ => self.message(),
        };
        if is_login {
            format!("{self}: {what}")
        } else {
            what
        }
    }

    /// The message about a missing privilege, function, relation or column, if the server itself
    /// made it: a trigger of the user can raise any code with any text.
    fn about_names(&self) -> Option<String> {
        const OF_MISSING: [&str; 6] = [
            "ParseFuncOrColumn",
            "op_error",
            "parserOpenTable",
            "RangeVarGetRelidExtended",
            "errorMissingColumn",
            "errorMissingRTE",
        ];
        let refused = self.server_error()?;
        let routine = refused.routine()?;
        if routine.starts_with("aclcheck_error") {
            return Some(rights::explain_denial(refused.message()));
        }
        let function = self.function().map(|name| format!(", in {name}"));
        OF_MISSING
            .contains(&routine)
            .then(|| refused.message().to_owned() + &function.unwrap_or_default())
    }

    /// Whether the server's message is about something with one of these names, by a predicate.
    pub(crate) fn is_about(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let message = self
            .server_error()
            .map(DbError::message)
            .unwrap_or_default();
        // Not about the types of a function's arguments.
        let subject = message.split('(').next().unwrap_or_default();
        subject
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(is_meant)
    }
}

/// Whether a SQLSTATE says that another session's lock was not released in time.
pub(crate) fn is_lock(code: &str) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(&SqlState::from_code(code))
}

/// The outcome of a call to the database.
pub type Result<T> = std::result::Result<T, DatabaseError>;
