//! The devices of people that take push messages: each is known by its token, which has one owner.

use std::fmt;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// Devices of a person, at most. The one that was added the longest ago is dropped for the next
/// one.
pub(crate) const MOST_DEVICES: usize = 50;
/// Longest token, in characters.
const LONGEST: usize = 1_024;

/// The token of a device. Whoever has it can name the device to the provider, so it is never
/// printed.
pub(crate) struct PushToken(String);

impl PushToken {
    /// `None`: it is not up to 1024 characters of visible ASCII.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_token =
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushToken(…)")
    }
}

/// A device, after it was added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddedDevice {
    /// When it was added the last time.
    pub(crate) seen_at: DateTime<Utc>,
    /// It was not before.
    pub(crate) is_new: bool,
    /// How many others were dropped for it.
    pub(crate) dropped: i64,
}

/// Adds a device to those of a person, or notes that it is still there. One of another person is
/// this one's from now on.
pub(crate) async fn add_device(
    transaction: &Transaction,
    person: &str,
    token: &PushToken,
) -> Result<AddedDevice> {
    let sql = "WITH before AS MATERIALIZED (
                   SELECT token, seen_at FROM public.booking_automation_push_tokens
                    WHERE person_id = $1
               ), added AS (
                   INSERT INTO public.booking_automation_push_tokens AS t (token, person_id)
                   VALUES ($2, $1)
                   ON CONFLICT (token) DO UPDATE
                      SET person_id = excluded.person_id, seen_at = excluded.seen_at
                   RETURNING seen_at
               ), dropped AS (
                   DELETE FROM public.booking_automation_push_tokens
                    WHERE person_id = $1
                      AND token IN (SELECT token FROM before WHERE token <> $2
                                     ORDER BY seen_at DESC, token OFFSET $3)
                   RETURNING 1
               )
               SELECT seen_at, (SELECT count(*) FROM dropped) AS dropped,
                      NOT EXISTS (SELECT FROM before WHERE token = $2) AS is_new
                 FROM added";
    let others = i64::try_from(MOST_DEVICES - 1).unwrap_or(i64::MAX);
    let parameters = [
        (&person as _, Type::TEXT),
        (&token.0 as _, Type::TEXT),
        (&others as _, Type::INT8),
    ];
    let row = transaction.query_one(sql, &parameters).await?;
    Ok(AddedDevice {
        seen_at: row.get("seen_at"),
        is_new: row.get("is_new"),
        dropped: row.get("dropped"),
    })
}

/// Removes a device from those of a person. Returns whether it was one of them.
pub(crate) async fn remove_device(
    transaction: &Transaction,
    person: &str,
    token: &PushToken,
) -> Result<bool> {
    let sql = "DELETE FROM public.booking_automation_push_tokens
                WHERE token = $2 AND person_id = $1";
    let parameters = [(&person as _, Type::TEXT), (&token.0 as _, Type::TEXT)];
    Ok(transaction.execute(sql, &parameters).await? > 0)
}

/// When each device of a person was added the last time, the latest first.
pub(crate) async fn read_devices(
    transaction: &Transaction,
    person: &str,
) -> Result<Vec<DateTime<Utc>>> {
    let sql = "SELECT seen_at FROM public.booking_automation_push_tokens
                WHERE person_id = $1 ORDER BY seen_at DESC, token";
    let rows = transaction.query(sql, &[(&person, Type::TEXT)]).await?;
    Ok(rows.iter().map(|row| row.get("seen_at")).collect())
}

#[cfg(test)]
mod tests {
    use super::PushToken;

    #[test]
    fn a_token_is_visible_ascii_and_never_printed() {
        let printed = |text: &str| format!("{:?}", PushToken::parse(text));
        for token in ["x", "fXy:APA91b-_/~%", &"x".repeat(1_024)] {
            assert_eq!(printed(token), "Some(PushToken(…))", "{token}");
        }
        for text in ["", " ", "a b", "a\n", "Zoë", "\u{7f}", &"x".repeat(1_025)] {
            assert_eq!(printed(text), "None", "{text}");
        }
    }
}
