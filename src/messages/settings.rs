//! What the owner decides about messages.

use url::Url;

use crate::messages::languages::Language;
use crate::primitives::settings::{Lookup, SettingError, read, read_or};

/// What the owner decides about messages.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// Base of the links in messages, without a trailing slash; `None`: no links.
    pub public_url: Option<String>,
    /// Of recipients whose own is not known, or has no file.
    pub default_language: &'static Language,
}

impl MessageSettings {
    /// Reads `PUBLIC_URL` and `DEFAULT_LANGUAGE`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let public_url = read_or(
            lookup,
            "PUBLIC_URL",
            None,
            |text| parse_base_url(text).map(Some),
            "an http or https URL without query",
        )?;
        Ok(Self {
            public_url,
            default_language: read_language(lookup)?,
        })
    }
}

fn read_language(lookup: Lookup) -> Result<&'static Language, SettingError> {
    const NAME: &str = "DEFAULT_LANGUAGE";
    let tag = read(lookup, NAME).unwrap_or_else(|| "en".to_owned());
    Language::matching(&tag).ok_or_else(|| {
        let tags: Vec<_> = Language::all().map(Language::tag).collect();
        SettingError::new(
            NAME,
            format!("is not valid: it takes one of {}", tags.join(", ")),
        )
    })
}

fn parse_base_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none();
    (plain && url.has_host() && url.username().is_empty() && url.password().is_none())
        .then(|| url.as_str().trim_end_matches('/').to_owned())
}
