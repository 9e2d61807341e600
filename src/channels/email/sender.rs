//! The sender, for the `From` header.

use crate::primitives::email_address::Address;

/// Who a message is from: an address, with or without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: Address,
}

impl Sender {
    /// Parses `address` or `Name <address>`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(before) = text.strip_suffix('>') else {
            return Some(Self {
                name: None,
                address: Address::parse(text).ok()?,
            });
        };
        let (name, address) = before.rsplit_once('<')?;
        let name = name.trim().trim_matches('"').trim();
        let name = (!name.is_empty()).then(|| name.to_owned());
        if name
            .as_deref()
            .is_some_and(|name| name.chars().any(char::is_control))
        {
            return None;
        }
        Some(Self {
            name,
            address: Address::parse(address).ok()?,
        })
    }

    /// The address alone.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The name, or the address where there is none.
    pub(crate) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.address.as_str())
    }

    /// The value of the `From` header: a quoted name (RFC 5322, 3.2.4), or encoded words (RFC 2047)
    /// if the name is not ASCII or looks like an encoded word, since mail readers wrongly decode
    /// these even inside quotes.
    pub fn header(&self) -> String {
        let address = self.address.as_str();
        match &self.name {
            None => address.to_owned(),
            Some(name) if name.is_ascii() && !name.contains("=?") => {
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{quoted}\" <{address}>")
            }
            Some(name) => format!("{} <{address}>", encoded_words(name)),
        }
    }
}

/// RFC 2047 encoded words, Q encoding, of whole UTF-8 characters. The first one fits on a line of
/// 76 characters with the header's name, which is at most `Subject`.
pub(super) fn encoded_words(text: &str) -> String {
    const START: &str = "=?UTF-8?Q?";
    const LONGEST: usize = 76 - "Subject: ".len() - START.len() - 2;
    let mut words = vec![String::new()];
    for character in text.chars() {
        let mut bytes = [0; 4];
        let encoded = match character {
            ' ' => "_".to_owned(),
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => c
                .encode_utf8(&mut bytes)
                .bytes()
                .map(|byte| format!("={byte:02X}"))
                .collect(),
        };
        if words
            .last()
            .is_some_and(|word| word.len() + encoded.len() > LONGEST)
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&encoded);
        }
    }
    words
        .iter()
        .map(|word| format!("{START}{word}?="))
        .collect::<Vec<_>>()
        .join(" ")
}
