//! Reads settings from the environment.
//!
//! Each room parses its own settings once, at start, into a type that cannot hold a wrong value. A
//! setting that is missing or malformed stops the program with one line that names the variable and
//! what it accepts. An error never repeats a value, since any value may contain a secret.

use thiserror::Error;

/// A setting that is missing or malformed. Its message names the variable and what it accepts, and
/// never the value.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{variable} {problem}")]
pub struct SettingError {
    variable: &'static str,
    problem: String,
}

impl SettingError {
    /// An error that reads "`variable` `problem`".
    pub fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self {
            variable,
            problem: problem.into(),
        }
    }
}

/// Where a variable's value comes from: the process environment, or a test's own.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the process environment. An empty variable counts as absent, since a deployment template
/// cannot unset one.
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

pub(crate) fn read(lookup: Lookup, name: &str) -> Option<String> {
    lookup(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

pub(crate) fn read_or<T>(
    lookup: Lookup,
    name: &'static str,
    default: T,
    parse: impl Fn(&str) -> Option<T>,
    accepts: &str,
) -> Result<T, SettingError> {
    match read(lookup, name) {
        None => Ok(default),
        Some(text) => parse(&text)
            .ok_or_else(|| SettingError::new(name, format!("is not valid: it takes {accepts}"))),
    }
}

/// A comma-separated list. One malformed part refuses the whole list; otherwise it would fail
/// unnoticed beside the others.
pub(crate) fn read_list<T>(
    lookup: Lookup,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, SettingError> {
    let Some(list) = read(lookup, name) else {
        return Ok(Vec::new());
    };
    list.split(',')
        .map(|part| parse(part.trim()).map_err(|problem| SettingError::new(name, problem)))
        .collect()
}
