//! The server's version, encoding and settings, and who may create objects in `public`.

use tokio_postgres::Row;

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// The oldest version of PostgreSQL that the program supports, as `server_version_num`.
const OLDEST_VERSION: i32 = 140_000;

/// What the server is like.
pub(crate) struct Server {
    pub(crate) findings: Vec<Finding>,
    /// Whether the rest can be looked at: older catalogues have other columns.
    pub(crate) is_supported: bool,
}

pub(crate) async fn look(transaction: &Transaction) -> Result<Server> {
    // An older server may not know what the rest asks.
    let version = "SELECT current_setting('server_version_num')::integer AS number";
    let number: i32 = transaction.query_one(version, &[]).await?.get("number");
    if let Some(too_old) = too_old(number) {
        return Ok(Server {
            findings: vec![too_old],
            is_supported: false,
        });
    }
    let row = transaction
        .query_one(include_str!("server.sql"), &[])
        .await?;
    let mut findings = vec![connection(&row)];
    findings.extend(settings(&row));
    findings.push(creators(&row));
    Ok(Server {
        findings,
        is_supported: true,
    })
}

fn too_old(number: i32) -> Option<Finding> {
    let major = number / 10_000;
    (number < OLDEST_VERSION).then(|| {
        Finding::error(
            Topic::Connection,
            format!("the server is PostgreSQL {major}, and 14 is the oldest that is supported"),
            "upgrade the server",
        )
    })
}

fn connection(row: &Row) -> Finding {
    let version: &str = row.get("version");
    let (database, role): (&str, &str) = (row.get("database"), row.get("role"));
    Finding::ok(
        Topic::Connection,
        format!("PostgreSQL {version}, database {database}, as the role {role}"),
    )
}

fn settings(row: &Row) -> Vec<Finding> {
    let mut findings = Vec::new();
    if row.get::<_, &str>("replication_role") == "replica" {
        findings.push(Finding::error(
            Topic::Settings,
            "session_replication_role is replica: no trigger fires, so nothing is audited",
            "remove the setting from the database and the role (ALTER DATABASE … RESET, \
             ALTER ROLE … RESET session_replication_role)",
        ));
    }
    findings.extend(encoding(row.get("encoding")));
    if findings.is_empty() {
        findings.push(Finding::ok(Topic::Settings, "no setting is in the way"));
    }
    findings
}

fn encoding(encoding: &str) -> Option<Finding> {
    match encoding {
        "UTF8" => None,
        "SQL_ASCII" => Some(Finding::error(
            Topic::Settings,
            "the database's encoding is SQL_ASCII: its texts are bytes of unknown encoding, so \
             a name that is not UTF-8 cannot be read",
            "copy the data to a database with ENCODING 'UTF8'",
        )),
        other => Some(Finding::warning(
            Topic::Settings,
            format!(
                "the database's encoding is {other}: it cannot store every character, so a \
                 reason or a rule's name with such a character is refused"
            ),
            "copy the data to a database with ENCODING 'UTF8', or write only characters that \
             the encoding has",
        )),
    }
}

/// A role that creates a better-matching function or operator in `public` can have its code run
/// with the rights of the role that calls ours.
fn creators(row: &Row) -> Finding {
    let creators: Vec<&str> = row.get("creators");
    if creators.is_empty() {
        let text = "only owners may create objects in the schema public";
        return Finding::ok(Topic::Public, text);
    }
    let creators = creators.join(", ");
    Finding::warning(
        Topic::Public,
        format!("in the schema public, {creators} may create functions and tables beside ours"),
        format!("run: REVOKE CREATE ON SCHEMA public FROM {creators};"),
    )
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn versions_before_14_are_refused_with_their_number() {
        for (number, version) in [(90_624, "9"), (130_022, "13")] {
            let text = too_old(number).map(|finding| finding.text);
            let expected = format!(
                "the server is PostgreSQL {version}, and 14 is the oldest that is supported"
            );
            assert_eq!(text, Some(expected));
        }
        assert_eq!(too_old(140_000), None);
        assert_eq!(too_old(180_001), None);
    }
}
