//! Suppressed addresses and phone numbers: only their keyed digests are stored.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Begin, Database, Result};
use crate::primitives::email_address::Address;
use crate::primitives::phone_number::PhoneNumber;

/// Waits for other transactions that lock this address or number, until they end. They count what
/// was stored about it.
pub(crate) const LOCK_ADDRESS: &str = "SELECT pg_advisory_xact_lock(hashtextextended(encode(
           public.booking_automation_address_hash(k.inner_key, k.outer_key, $1), 'hex'), 0))
      FROM public.booking_automation_hash_key k";

/// What can be suppressed.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A mail address.
    Address(Address),
    /// A phone number.
    Number(PhoneNumber),
}

impl Destination {
    /// Parses a mail address, or a phone number in international form. `None`: it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.contains('@') {
            true => Address::parse(text).ok().map(Self::Address),
            false => PhoneNumber::parse(text).ok().map(Self::Number),
        }
    }

    /// The form of which delivery takes the digest.
    fn as_str(&self) -> &str {
        match self {
            Self::Address(address) => address.as_str(),
            Self::Number(number) => number.as_str(),
        }
    }
}

/// Since when, and why, an address or a number is suppressed.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// `bounced`, `complained`, `bounced_softly` or `opted_out`.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Takes an address or a number off the suppression list. `None`: it was not suppressed.
///
/// # Errors
/// When the database refuses.
pub async fn lift_suppression(
    database: &Database,
    destination: &Destination,
) -> Result<Option<Suppression>> {
    let sql = "DELETE FROM public.booking_automation_suppressions x
                USING public.booking_automation_hash_key k
                WHERE x.address_hash =
                    public.booking_automation_address_hash(k.inner_key, k.outer_key, $1)
            RETURNING x.reason, x.created_at";
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let parameters = [(&destination.as_str() as _, Type::TEXT)];
    let rows = transaction
        .commit_after(async |transaction| transaction.query(sql, &parameters).await)
        .await?;
    Ok(rows.first().map(|row| Suppression {
        reason: row.get("reason"),
        since: row.get("created_at"),
    }))
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn an_address_has_an_at_and_a_number_a_country_code() {
        for (text, stored) in [
            ("carla@customers.example", "carla@customers.example"),
            ("+carla@customers.example", "+carla@customers.example"),
            (" +1 (206) 555-0100 ", "+12065550100"),
        ] {
            let destination = Destination::parse(text);
            assert_eq!(destination.as_ref().map(Destination::as_str), Some(stored));
        }
        for text in ["", "carla", "@", "0206 555 0100", "0012065550100", "+1206"] {
            assert!(Destination::parse(text).is_none(), "{text}");
        }
    }
}
