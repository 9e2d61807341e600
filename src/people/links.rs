//! Links that only this program can make. A token in the path says for whom the link is and what it
//! is about, and is signed with a key of the database (`keys.rs`).
//!
//! A token is base64url, without padding, of: the purpose (a byte), the id of the key (four bytes,
//! big endian), the milliseconds since 1970 (eight bytes), the kind and the language (each a length
//! and text), the booking (0, or 1 and its id), the person (0 and a UUID, or 1 and text up to the
//! end), and the first 16 bytes of the HMAC-SHA256 of all that. Nothing but the key's id is read
//! before the signature is verified.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use chrono::{DateTime, Utc};
use secrecy::SecretSlice;
use uuid::Uuid;

use crate::messages::kind_name::KindName;
use crate::messages::languages::Language;
use crate::primitives::signature::{is_tag_of, tag_of};

/// Longest token: one with the longest kind, language and person is shorter.
const LONGEST: usize = 800;
/// Bytes of a signature: half of the hash, as RFC 2104 allows.
const SIGNATURE: usize = 16;
/// Bytes before the kind.
const HEAD: usize = 13;

/// What a link is for. One that was made for something else does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A person's page: which messages they get.
    Preferences,
    /// Whether a customer will come to a booking, and its cancellation.
    Attendance,
    /// A person's bookings, for their calendar.
    Calendar,
}

impl Purpose {
    /// Never change one, or use it again.
    fn code(self) -> u8 {
        match self {
            Self::Preferences => 1,
            Self::Attendance => 2,
            Self::Calendar => 3,
        }
    }

    /// The first part of the path.
    fn path(self) -> &'static str {
        match self {
            Self::Preferences => "p",
            Self::Attendance => "a",
            Self::Calendar => "calendar",
        }
    }
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) purpose: Purpose,
    /// For whom it is.
    pub(crate) person: String,
    /// The kind that the recipient of its message leaves, by its name.
    pub(crate) kind: String,
    /// The language of that message, a tag.
    pub(crate) language: String,
    /// What it acts on.
    pub(crate) booking: Option<Uuid>,
    /// When it was made, to the millisecond.
    pub(crate) made_at: DateTime<Utc>,
}

impl Link {
    /// The kind that a person leaves by it. `None`: a later release has made it.
    pub(crate) fn choice(&self) -> Option<KindName> {
        KindName::from_name(&self.kind).map(KindName::choice)
    }

    /// The language of that message.
    pub(crate) fn language(&self) -> Option<&'static Language> {
        Language::matching(&self.language)
    }
}

/// A key that signs links.
#[derive(Clone, Debug)]
pub(crate) struct LinkKey {
    pub(crate) id: u32,
    pub(crate) secret: SecretSlice<u8>,
}

/// Makes the links of a delivery.
#[derive(Clone, Debug)]
pub(crate) struct LinkSigner {
    /// `LINK_BASE_URL`, without a slash at the end.
    pub(crate) base: String,
    pub(crate) key: LinkKey,
    /// By the database's clock.
    pub(crate) now: DateTime<Utc>,
}

impl LinkSigner {
    /// The URL of a link in a message of this kind. `None`: the person's name is too long.
    pub(crate) fn url(
        &self,
        purpose: Purpose,
        person: &str,
        kind: KindName,
        language: &Language,
        booking: Option<Uuid>,
    ) -> Option<String> {
        let link = Link {
            purpose,
            person: super::person_id(person)?,
            kind: kind.choice().as_str().to_owned(),
            language: language.tag().to_owned(),
            booking,
            made_at: self.now,
        };
        let token = sign(&link, &self.key)?;
        Some(format!("{}/{}/{token}", self.base, purpose.path()))
    }
}

impl LinkSigner {
    /// The address of a person's feed, which stands in no message.
    pub(crate) fn feed_url(&self, person: &str, language: &Language) -> Option<String> {
        let kind = KindName::Confirmed;
        let url = self.url(Purpose::Calendar, person, kind, language, None)?;
        Some(format!("{url}.ics"))
    }
}

/// The token of a link. `None`: something in it is too long.
fn sign(link: &Link, key: &LinkKey) -> Option<String> {
    let mut bytes = vec![link.purpose.code()];
    bytes.extend(key.id.to_be_bytes());
    bytes.extend(link.made_at.timestamp_millis().to_be_bytes());
    for text in [&link.kind, &link.language] {
        bytes.push(u8::try_from(text.len()).ok()?);
        bytes.extend(text.as_bytes());
    }
    match link.booking {
        None => bytes.push(0),
        Some(id) => {
            bytes.push(1);
            bytes.extend(id.as_bytes());
        }
    }
    match Uuid::try_parse(&link.person).ok() {
        Some(id) if id.to_string() == link.person => {
            bytes.push(0);
            bytes.extend(id.as_bytes());
        }
        _ => {
            bytes.push(1);
            bytes.extend(link.person.as_bytes());
        }
    }
    let signature = tag_of(&key.secret, DOMAIN, &bytes);
    bytes.extend_from_slice(signature.get(..SIGNATURE)?);
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    (token.len() <= LONGEST).then_some(token)
}

/// What is signed before the bytes: no other signature of this program is one of a link.
const DOMAIN: &[u8] = b"booking-automation link 1\n";

/// A token of which nothing is known but which key may have signed it.
pub(crate) struct SignedToken {
    bytes: Vec<u8>,
}

impl SignedToken {
    /// `None`: it is none.
    pub(crate) fn decode(token: &str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        (bytes.len() >= HEAD + SIGNATURE).then_some(Self { bytes })
    }

    pub(crate) fn key_id(&self) -> Option<u32> {
        self.bytes
            .get(1..5)?
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    /// What it says, if this key signed it for this purpose.
    pub(crate) fn verify(&self, key: &LinkKey, purpose: Purpose) -> Option<Link> {
        let (bytes, signature) = self
            .bytes
            .split_at_checked(self.bytes.len().checked_sub(SIGNATURE)?)?;
        if !is_tag_of(&key.secret, DOMAIN, bytes, signature) {
            return None;
        }
        (bytes.first() == Some(&purpose.code())).then(|| parse(bytes, purpose))?
    }
}

fn parse(bytes: &[u8], purpose: Purpose) -> Option<Link> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    let milliseconds = i64::from_be_bytes(head.get(5..)?.try_into().ok()?);
    let mut take = |count: usize| {
        let (taken, others) = rest.split_at_checked(count)?;
        rest = others;
        Some(taken)
    };
    let mut texts = [String::new(), String::new()];
    for text in &mut texts {
        let length = *take(1)?.first()?;
        *text = String::from_utf8(take(usize::from(length))?.to_vec()).ok()?;
    }
    let booking = match take(1)? {
        [0] => None,
        _ => Some(Uuid::from_slice(take(16)?).ok()?),
    };
    let person = match take(1)? {
        [0] => Uuid::from_slice(rest).ok()?.to_string(),
        _ => String::from_utf8(rest.to_vec()).ok()?,
    };
    let [kind, language] = texts;
    Some(Link {
        purpose,
        person,
        kind,
        language,
        booking,
        made_at: DateTime::from_timestamp_millis(milliseconds)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32, byte: u8) -> LinkKey {
        LinkKey {
            id,
            secret: vec![byte; 32].into(),
        }
    }

    fn link(person: &str, booking: Option<Uuid>) -> Link {
        Link {
            purpose: Purpose::Preferences,
            person: person.to_owned(),
            kind: "follow-up".to_owned(),
            language: "en-GB".to_owned(),
            booking,
            made_at: DateTime::from_timestamp(1_772_546_400, 0).expect("a time"),
        }
    }

    fn read(token: &str, key: &LinkKey) -> Option<Link> {
        SignedToken::decode(token)?.verify(key, Purpose::Preferences)
    }

    #[test]
    fn a_link_says_what_it_was_made_of() {
        let uuid = Uuid::from_u128(7);
        let long = "x".repeat(400);
        for person in [uuid.to_string().as_str(), "", "7", "Zoë@x", &long] {
            for booking in [None, Some(uuid)] {
                let link = link(person, booking);
                let token = sign(&link, &key(1, 1)).expect("a token");
                assert!(token.len() < 620, "{}", token.len());
                assert_eq!(read(&token, &key(1, 1)), Some(link));
            }
        }
        let short = sign(&link(&uuid.to_string(), None), &key(1, 1)).expect("a token");
        assert!(short.len() <= 90, "{}", short.len());
    }

    #[test]
    fn whatever_was_changed_or_signed_by_another_key_is_refused() {
        let link = link("somebody", Some(Uuid::from_u128(7)));
        let token = sign(&link, &key(1, 1)).expect("a token");
        assert_eq!(read(&token, &key(1, 2)), None);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).expect("base64");
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(position) {
                *byte ^= 1;
            }
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(read(&changed, &key(1, 1)), None, "byte {position}");
            let cut = BASE64_URL_SAFE_NO_PAD.encode(bytes.get(..position).expect("bytes"));
            assert_eq!(read(&cut, &key(1, 1)), None, "{position} bytes");
        }
    }

    #[test]
    fn a_link_in_a_grouped_reminder_leaves_reminders() {
        let signer = LinkSigner {
            base: "https://links.example".to_owned(),
            key: key(1, 1),
            now: DateTime::UNIX_EPOCH,
        };
        let english = Language::matching("en").expect("English");
        for (kind, left) in [
            (KindName::GroupedReminder, KindName::Reminder),
            (KindName::Digest, KindName::Digest),
        ] {
            let url = signer.url(Purpose::Preferences, "carla", kind, english, None);
            let url = url.expect("a link");
            let token = url.rsplit('/').next().expect("a token");
            let link = read(token, &key(1, 1)).expect("a link");
            assert_eq!((link.choice(), &*link.kind), (Some(left), left.as_str()));
        }
        // By a name that no release has written yet.
        let mut link = link("carla", None);
        link.kind = "grouped-reminder".to_owned();
        assert_eq!(link.choice(), Some(KindName::Reminder));
    }
}
