//! The parameters of a request, from its query or its JSON body. An error names the parameter.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::http::problem::Problem;
use crate::http::repeated_member::RepeatedMember;

/// Longest value of a query parameter, in characters.
const LONGEST_PARAMETER: usize = 200;

/// The parameters of a query, each given at most once.
pub(crate) struct QueryParams(BTreeMap<String, String>);

impl QueryParams {
    pub(crate) fn of(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(malformed(
                    &name,
                    &format!("is not known; the query takes {}", known.join(", ")),
                ));
            }
            if value.is_empty() || value.contains('\0') || value.chars().count() > LONGEST_PARAMETER
            {
                return Err(malformed(
                    &name,
                    &format!("takes a text of up to {LONGEST_PARAMETER} characters without NUL"),
                ));
            }
            if parameters
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(malformed(&name, "may be given only once"));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Some(time.to_utc()))
            .map_err(|_| malformed(name, "takes an RFC 3339 time, such as 2026-03-01T12:00:00Z"))
    }

    pub(crate) fn number(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            malformed(
                name,
                &format!("takes a number from {} to {}", range.start(), range.end()),
            )
        })
    }
}

/// The members of a JSON object.
pub(crate) struct BodyParams(Map<String, Value>);

impl BodyParams {
    pub(crate) fn of(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let is_not_json = |_| malformed("body", "is not JSON");
        let value = serde_json::from_slice(body).map_err(is_not_json)?;
        // Parsers differ in which one they take: a program before this one may have checked
        // another.
        let RepeatedMember(repeated) = serde_json::from_slice(body).map_err(is_not_json)?;
        if let Some(member) = repeated {
            return Err(malformed(&member, "may be given only once"));
        }
        Self::of_value("body", value, known)
    }

    fn of_value(name: &str, value: Value, known: &[&str]) -> Result<Self, Problem> {
        let Value::Object(members) = value else {
            return Err(malformed(name, "is not a JSON object"));
        };
        match members
            .keys()
            .find(|member| !known.contains(&member.as_str()))
        {
            Some(member) => Err(malformed(
                member,
                &format!("is not known; {name} takes {}", known.join(", ")),
            )),
            None => Ok(Self(members)),
        }
    }

    pub(crate) fn object(&self, name: &str, known: &[&str]) -> Result<Self, Problem> {
        let value = self
            .0
            .get(name)
            .cloned()
            .ok_or_else(|| malformed(name, "is missing"))?;
        Self::of_value(name, value, known)
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, Problem> {
        self.optional_text(name, usize::MAX)?
            .ok_or_else(|| malformed(name, "is missing"))
    }

    pub(crate) fn optional_text(
        &self,
        name: &str,
        longest: usize,
    ) -> Result<Option<String>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => {
                Err(malformed(name, "contains NUL"))
            }
            Some(Value::String(text)) if text.chars().count() > longest => Err(malformed(
                name,
                &format!("is longer than {longest} characters"),
            )),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(malformed(name, "is not a text")),
        }
    }

    /// A list of texts, each one of `known` and there once; `None`: absent or null.
    pub(crate) fn optional_names(
        &self,
        name: &str,
        known: &[&str],
    ) -> Result<Option<Vec<String>>, Problem> {
        let names = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(names)) => names,
            Some(_) => return Err(malformed(name, "is not a list")),
        };
        let mut taken = Vec::new();
        for one in names {
            match one.as_str().filter(|one| known.contains(one)) {
                Some(one) if !taken.iter().any(|it| it == one) => taken.push(one.to_owned()),
                Some(_) => return Err(malformed(name, "has an entry twice")),
                None => return Err(malformed(name, &format!("takes {}", known.join(", ")))),
            }
        }
        Ok(Some(taken))
    }

    /// Whether the member is there, and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.optional_flag(name)?.unwrap_or_default())
    }

    pub(crate) fn optional_flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(malformed(name, "is neither true nor false")),
        }
    }
}

pub(crate) fn parse_id(name: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| malformed(name, "is not a UUID"))
}

pub(crate) fn malformed(field: &str, problem: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("{field} {problem}")).with("field", field)
}

pub(crate) fn unprocessable(field: &str, problem: &str) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        format!("{field} {problem}"),
    )
    .with("field", field)
}
