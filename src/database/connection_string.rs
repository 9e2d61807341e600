//! `DATABASE_URL`, split into its parameters: libpq's two forms, a URL and a list of `key=value`.
//!
//! The driver's own parser stops at the first parameter that it does not know, and knows none of
//! the names that other programs use. This one returns all parameters, so that each can be checked
//! by its name. Its errors quote no part of the text.

use std::iter::Peekable;
use std::str::Chars;

use percent_encoding::percent_decode_str;

/// The prefixes of the URL form.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const MALFORMED: &str = "is not valid: it takes a PostgreSQL URL \
    (postgres://user:password@host:5432/database?sslmode=require) or a key-value string \
    (host=… user=… dbname=…)";
const AMBIGUOUS_AT: &str = "has an @ in a password or a parameter: write it as %40, \
    and in a password / as %2F and ? as %3F";
const MALFORMED_HOST: &str = "has a malformed host: an IPv6 address is written [::1]:5432";
const WITHOUT_VALUE: &str =
    "has a key without =: it takes key=value, and a value with spaces in single quotes";
const UNTERMINATED: &str = "has a quoted value without its end";

/// One parameter of a connection string.
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// A password need not be UTF-8.
    pub(crate) value: Vec<u8>,
    /// The name may be the rest of a password that lacks its quotes or its percent-encoding.
    pub(crate) may_be_secret: bool,
}

impl Parameter {
    fn decoded(name: &str, value: &str) -> Self {
        Self {
            name: percent_decode_str(name).decode_utf8_lossy().into_owned(),
            value: percent_decode_str(value).collect(),
            may_be_secret: false,
        }
    }
}

/// The parameters in their order.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<Vec<Parameter>, &'static str> {
    match SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => parse_url(rest),
        None if text.split('=').next().unwrap_or(text).contains("://") => Err(MALFORMED),
        None => parse_pairs(text),
    }
}

/// `user:password@host:port,host:port/database?name=value&name=value`
fn parse_url(text: &str) -> Result<Vec<Parameter>, &'static str> {
    let (credentials, rest) = split_credentials(text)?;
    let (hosts, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if hosts.contains('@') {
        return Err(AMBIGUOUS_AT);
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, password) = split_optional(credentials, ':');
    let (hosts, ports) = parse_hosts(hosts)?;
    let query = parse_query(query);
    let before_query = [
        ("user", Some(user).filter(|user| !user.is_empty())),
        ("password", password),
        ("host", hosts.as_deref()),
        ("port", ports.as_deref()),
        (
            "dbname",
            path.strip_prefix('/').filter(|name| !name.is_empty()),
        ),
    ];
    // As in libpq, the query overrides what stands before it.
    let is_overridden = |name: &str| query.iter().any(|later| later.name == name);
    let mut parameters: Vec<_> = before_query
        .into_iter()
        .filter(|(name, _)| !is_overridden(name))
        .filter_map(|(name, value)| Some(Parameter::decoded(name, value?)))
        .collect();
    parameters.extend(query);
    Ok(parameters)
}

/// The credentials end at the first @, so that a password may contain a /. An @ in a parameter must
/// not look like that end: the text before it would be sent as a password, to the wrong host.
fn split_credentials(text: &str) -> Result<(&str, &str), &'static str> {
    let Some((credentials, rest)) = text.split_once('@') else {
        return Ok(("", text));
    };
    let (user, password) = split_optional(credentials, ':');
    let is_host_and_query = |password: &str| {
        password.split_once('?').is_some_and(|(before, query)| {
            query.contains('=')
                && (before.contains('/') || before.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    match user.contains(['/', '?']) || password.is_some_and(is_host_and_query) {
        true => Err(AMBIGUOUS_AT),
        false => Ok((credentials, rest)),
    }
}

/// The hosts and the ports, each separated by commas. A host without a port has an empty one.
fn parse_hosts(text: &str) -> Result<(Option<String>, Option<String>), &'static str> {
    if text.is_empty() {
        return Ok((None, None));
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for chunk in text.split(',') {
        let (host, port) = match chunk.strip_prefix('[') {
            None => split_optional(chunk, ':'),
            Some(bracketed) => {
                let (address, port) = bracketed.split_once(']').ok_or(MALFORMED_HOST)?;
                match port.strip_prefix(':') {
                    None if !port.is_empty() => return Err(MALFORMED_HOST),
                    port => (address, port),
                }
            }
        };
        hosts.push(host);
        ports.push(port.unwrap_or_default());
    }
    let is_named = hosts.iter().any(|host| !host.is_empty());
    Ok((is_named.then(|| hosts.join(",")), Some(ports.join(","))))
}

fn parse_query(query: &str) -> Vec<Parameter> {
    // Where a password in the credentials has an @ and a ?, its rest is here.
    let mut may_be_secret = query.contains('@');
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = split_optional(pair, '=');
        parameters.push(Parameter {
            may_be_secret,
            ..Parameter::decoded(name, value.unwrap_or_default())
        });
        may_be_secret |= name == "password";
    }
    parameters
}

/// `name=value name = 'quoted value'`, with backslashes before quotes and backslashes.
fn parse_pairs(text: &str) -> Result<Vec<Parameter>, &'static str> {
    let mut rest = text.chars().peekable();
    let mut may_be_secret = false;
    let mut parameters = Vec::new();
    loop {
        skip_spaces(&mut rest);
        if rest.peek().is_none() {
            return Ok(parameters);
        }
        let mut name = String::new();
        while let Some(letter) = rest.next_if(|letter| !letter.is_whitespace() && *letter != '=') {
            name.push(letter);
        }
        skip_spaces(&mut rest);
        if name.is_empty() || rest.next_if_eq(&'=').is_none() {
            return Err(WITHOUT_VALUE);
        }
        skip_spaces(&mut rest);
        let is_quoted = rest.next_if_eq(&'\'').is_some();
        let value = parse_value(&mut rest, is_quoted)?;
        let cuts_password = name == "password" && !is_quoted;
        parameters.push(Parameter {
            name,
            value: value.into_bytes(),
            may_be_secret,
        });
        may_be_secret |= cuts_password;
    }
}

fn parse_value(rest: &mut Peekable<Chars>, is_quoted: bool) -> Result<String, &'static str> {
    let mut value = String::new();
    loop {
        match rest.peek() {
            None if is_quoted => return Err(UNTERMINATED),
            None if value.is_empty() => return Err(WITHOUT_VALUE),
            None => return Ok(value),
            Some(letter) if !is_quoted && letter.is_whitespace() => return Ok(value),
            Some('\'') if is_quoted => {
                rest.next();
                return Ok(value);
            }
            Some('\\') => {
                rest.next();
                value.extend(rest.next());
            }
            Some(_) => value.extend(rest.next()),
        }
    }
}

fn skip_spaces(rest: &mut Peekable<Chars>) {
    while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
}

/// The text before the first separator, and what follows it, if it is there.
fn split_optional(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}
