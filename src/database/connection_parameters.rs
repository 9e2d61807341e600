//! The parameters of `DATABASE_URL`: those that the driver takes, and for the names that other
//! programs know, what to write here.

use std::str;

use tokio_postgres::Config;

use crate::database::connection_string::{self, Parameter};

/// The driver's parameters (tokio-postgres 0.7, `Config`) and what each accepts.
const KNOWN: &[(&str, &str)] = &[
    ("application_name", "text"),
    ("channel_binding", "disable, prefer or require"),
    ("connect_timeout", SECONDS),
    ("dbname", "text"),
    ("host", "host names, comma-separated"),
    ("hostaddr", "IP addresses, comma-separated"),
    ("keepalives", "0 or 1"),
    ("keepalives_idle", SECONDS),
    ("keepalives_interval", SECONDS),
    ("keepalives_retries", "a whole number"),
    ("load_balance_hosts", "disable or random"),
    ("options", "text"),
    ("password", "text"),
    ("port", "numbers from 0 to 65535, comma-separated"),
    (
        "sslmode",
        "disable, prefer, require, verify-ca or verify-full",
    ),
    ("sslnegotiation", "postgres or direct"),
    ("target_session_attrs", "any, read-write or read-only"),
    ("tcp_user_timeout", SECONDS),
    ("user", "text"),
];

const SECONDS: &str = "seconds, a whole number";
const CLIENT_CERTIFICATE: &str = "there are no client certificates here; write a password";
const ALWAYS_VERIFIED: &str = "leave it out: certificate and host name are always verified, \
    with TLS 1.2 or newer";
const ONE_CONNECTION: &str = "leave it out: a call uses one connection";
const UNNAMED: &str = "leave it out: no statement is prepared by name, so that any pooler works";
const OWN_LIMITS: &str = "leave it out: each transaction sets its own time limits";
const PUBLIC: &str = "leave it out: the tables are in the schema public; if your triggers need a \
    search_path, write options=-csearch_path=…";
const NO_REVOCATION: &str = "leave it out: revocation lists are not read";
const NO_FILES: &str = "no such file is read; write host, user and password here";
const NO_GSS: &str = "leave it out: the log-in is by password";

/// Parameters of libpq (its manual, "Parameter Key Words"), Prisma, JDBC, node-postgres,
/// SQLAlchemy, Npgsql and hosting companies that the driver does not take, in lower case.
const FOREIGN: &[(&str, &str)] = &[
    ("applicationname", "write application_name"),
    ("client_encoding", "leave it out: it is always UTF8"),
    ("connect_timeout_ms", "write connect_timeout, in seconds"),
    ("connection_limit", ONE_CONNECTION),
    ("connectiontimeout", "write connect_timeout"),
    ("connecttimeout", "write connect_timeout"),
    ("currentschema", PUBLIC),
    ("database", "write dbname"),
    ("db", "write dbname"),
    ("fallback_application_name", "write application_name"),
    ("gssdelegation", NO_GSS),
    ("gssencmode", NO_GSS),
    ("gsslib", NO_GSS),
    ("idle_in_transaction_session_timeout", OWN_LIMITS),
    ("keepalives_count", "write keepalives_retries"),
    ("krbsrvname", NO_GSS),
    ("loadbalancehosts", "write load_balance_hosts=random"),
    ("lock_timeout", OWN_LIMITS),
    ("max_conns", ONE_CONNECTION),
    ("max_protocol_version", "leave it out"),
    ("maximum pool size", ONE_CONNECTION),
    ("min_protocol_version", "leave it out"),
    ("passfile", NO_FILES),
    ("pgbouncer", UNNAMED),
    ("pool_max_conns", ONE_CONNECTION),
    ("pool_mode", UNNAMED),
    ("pool_size", ONE_CONNECTION),
    ("pool_timeout", ONE_CONNECTION),
    ("pooling", ONE_CONNECTION),
    ("prepared_statements", UNNAMED),
    ("preparethreshold", UNNAMED),
    ("replication", "leave it out"),
    (
        "require_auth",
        "leave it out, or write channel_binding=require",
    ),
    ("requiressl", "write sslmode=require"),
    ("schema", PUBLIC),
    ("search_path", PUBLIC),
    ("server", "write host"),
    ("service", NO_FILES),
    ("servicefile", NO_FILES),
    ("single_use_connections", ONE_CONNECTION),
    ("socket_timeout", OWN_LIMITS),
    ("sockettimeout", OWN_LIMITS),
    ("ssl", "write sslmode=require, or sslmode=disable"),
    ("ssl_max_protocol_version", ALWAYS_VERIFIED),
    ("ssl_min_protocol_version", ALWAYS_VERIFIED),
    ("sslaccept", ALWAYS_VERIFIED),
    ("sslcert", CLIENT_CERTIFICATE),
    ("sslcertmode", CLIENT_CERTIFICATE),
    ("sslcompression", "leave it out"),
    ("sslcrl", NO_REVOCATION),
    ("sslcrldir", NO_REVOCATION),
    ("sslidentity", CLIENT_CERTIFICATE),
    ("sslkey", CLIENT_CERTIFICATE),
    ("sslpassword", CLIENT_CERTIFICATE),
    (
        "sslrootcert",
        "put the certificate or its path into DATABASE_CA_CERT; the web's authorities and those \
         of Amazon RDS are trusted without it",
    ),
    ("sslsni", "leave it out: the host's name is always sent"),
    ("statement_cache_mode", UNNAMED),
    ("statement_cache_size", UNNAMED),
    ("statement_timeout", OWN_LIMITS),
    ("supa", "leave it out"),
    ("targetservertype", "write target_session_attrs=read-write"),
    (
        "timezone",
        "leave it out, or write options=-cTimeZone=… for your triggers",
    ),
    ("uselibpqcompat", "leave it out"),
    ("username", "write user"),
];

/// Reads a connection string into the driver's configuration.
///
/// # Errors
/// All parameters that are unknown, malformed or repeated, by their names and never with a value.
pub(crate) fn read(text: &str) -> Result<Config, String> {
    let mut parameters = connection_string::parse(text)?;
    for parameter in &mut parameters {
        verify_as_required(parameter);
    }
    let mut problems: Vec<_> = parameters.iter().filter_map(problem).collect();
    problems.extend(repeated(&parameters));
    problems.dedup();
    if !problems.is_empty() {
        return Err(format!("has to be corrected: {}", problems.join("; ")));
    }
    let (passwords, others): (Vec<_>, Vec<_>) = parameters
        .iter()
        .partition(|parameter| parameter.name == "password");
    let pairs: Vec<_> = others.into_iter().filter_map(as_pair).collect();
    // Each one was accepted by itself.
    let mut config: Config = pairs.join(" ").parse().map_err(|_| "is not valid")?;
    if let Some(password) = passwords.first() {
        config.password(&password.value);
    }
    counts_fit(&config).map(|()| config)
}

/// Certificate and host name are always verified, so libpq's stricter modes are the same as
/// `require`.
fn verify_as_required(parameter: &mut Parameter) {
    let stricter: [&[u8]; 2] = [b"verify-ca", b"verify-full"];
    if parameter.name == "sslmode" && stricter.contains(&&parameter.value[..]) {
        parameter.value = b"require".to_vec();
    }
}

/// What is wrong with one parameter.
fn problem(parameter: &Parameter) -> Option<String> {
    let name = parameter.name.as_str();
    if let Some((_, accepts)) = KNOWN.iter().find(|(known, _)| *known == name) {
        let is_accepted = name == "password"
            || as_pair(parameter).is_some_and(|pair| pair.parse::<Config>().is_ok());
        return (!is_accepted).then(|| format!("`{name}` is not valid, it takes {accepts}"));
    }
    let lower = name.to_ascii_lowercase();
    if KNOWN.iter().any(|(known, _)| *known == lower) {
        return Some(format!("`{name}` is not known (write {lower})"));
    }
    if let Some((_, instead)) = FOREIGN.iter().find(|(foreign, _)| *foreign == lower) {
        return Some(format!("`{name}` is not known ({instead})"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let may_be_printed = !parameter.may_be_secret
        && (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(is_plain);
    Some(match may_be_printed {
        true => format!("`{name}` is not known (leave it out)"),
        false => HIDDEN.to_owned(),
    })
}

const HIDDEN: &str = "a parameter whose name is not printed, since it may be the rest of a \
    password, is not known (write the password 'in quotes' in a key-value string, percent-encoded \
    in a URL)";
/// Longest name of an unknown parameter that is printed, in characters: longer ones are no names.
const LONGEST_NAME: usize = 40;

/// The driver would take some of them all, and of others the last one.
fn repeated(parameters: &[Parameter]) -> impl Iterator<Item = String> {
    KNOWN.iter().filter_map(|(name, _)| {
        let count = parameters
            .iter()
            .filter(|given| given.name == *name)
            .count();
        (count > 1).then(|| format!("`{name}` is given more than once"))
    })
}

/// The parameter in the driver's key-value form. `None`: it is not UTF-8.
fn as_pair(parameter: &Parameter) -> Option<String> {
    let value = str::from_utf8(&parameter.value).ok()?;
    let value = value.replace('\\', "\\\\").replace('\'', "\\'");
    Some(format!("{}='{value}'", parameter.name))
}

/// The driver finds this out only when it connects.
fn counts_fit(config: &Config) -> Result<(), String> {
    let (hosts, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
    let ports = config.get_ports().len();
    let fits = (hosts == 0 || addresses == 0 || hosts == addresses)
        && (ports <= 1 || ports == hosts.max(addresses));
    match fits {
        true => Ok(()),
        false => Err("has different numbers of `host`, `hostaddr` and `port`".to_owned()),
    }
}
