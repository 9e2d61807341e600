//! What the owner decides about messages.

use std::fmt;

use url::{Host, Url};
use uuid::Uuid;

use crate::messages::languages::Language;
use crate::primitives::settings::{Lookup, SettingError, read, read_or};

/// What the owner decides about messages.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// Base of the links in messages, without a trailing slash; `None`: no links.
    pub public_url: Option<String>,
    /// Base of the links that open the owner's app, without a trailing slash; they come before
    /// those of `public_url`.
    pub app_link_base: Option<String>,
    /// Base of the links that this program answers, without a trailing slash; `None`: no such
    /// links.
    pub link_base_url: Option<String>,
    /// Of recipients whose own is not known, or has no file.
    pub default_language: &'static Language,
    /// Whether mails carry the appointment.
    pub calendar: bool,
    /// Logo, colour and signature.
    pub look: Look,
}

/// What the owner adds to the layout.
#[derive(Clone, Debug)]
pub struct Look {
    /// An https URL.
    pub logo_url: Option<String>,
    /// Of buttons.
    pub color: Color,
    /// Lines at the end.
    pub signature: Vec<String>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            logo_url: None,
            color: Color([0x1d, 0x4e, 0xd8]),
            signature: Vec::new(),
        }
    }
}

/// A colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl fmt::Display for Color {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Color {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        is_hex.then_some(Self([red, green, blue]))
    }

    /// The colour of text on it: black or white. One of the two always has a contrast of 4.5:1 and
    /// more, as WCAG 2 demands.
    pub(crate) fn text(self) -> &'static str {
        // (1 + 0.05) / (luminance + 0.05) for white, (luminance + 0.05) / 0.05 for black.
        match (self.luminance() + 0.05).powi(2) < 1.05 * 0.05 {
            true => "#ffffff",
            false => "#000000",
        }
    }

    /// The relative luminance of WCAG 2.
    fn luminance(self) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            part if part <= 0.04045 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl Look {
    fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let default = Self::default();
        Ok(Self {
            logo_url: read_or(
                lookup,
                "MAIL_LOGO_URL",
                default.logo_url,
                |text| parse_logo_url(text).map(Some),
                "an https URL of an image",
            )?,
            color: read_or(
                lookup,
                "MAIL_COLOR",
                default.color,
                Color::parse,
                "a colour such as #1d4ed8",
            )?,
            signature: read_or(
                lookup,
                "MAIL_SIGNATURE",
                default.signature,
                parse_signature,
                "up to ten lines of up to 200 characters, separated by line breaks or \\n",
            )?,
        })
    }
}

impl MessageSettings {
    /// Reads `PUBLIC_URL`, `APP_LINK_BASE`, `LINK_BASE_URL`, `DEFAULT_LANGUAGE`, `MAIL_CALENDAR`,
    /// `MAIL_LOGO_URL`, `MAIL_COLOR` and `MAIL_SIGNATURE`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let link_base_url = read_or(
            lookup,
            "LINK_BASE_URL",
            None,
            |text| parse_link_base_url(text).map(Some),
            "an https URL of up to 200 characters without query (http only for this computer)",
        )?;
        Ok(Self {
            public_url: public_url(lookup)?,
            app_link_base: app_link_base(lookup)?,
            link_base_url,
            default_language: read_language(lookup)?,
            calendar: read_or(
                lookup,
                "MAIL_CALENDAR",
                true,
                |text| text.to_ascii_lowercase().parse().ok(),
                "true or false",
            )?,
            look: Look::from_environment(lookup)?,
        })
    }

    /// Where a booking is shown: in the owner's app, else on their pages.
    pub(crate) fn booking_url(&self, booking_id: Uuid) -> Option<String> {
        let base = self.app_link_base.as_ref().or(self.public_url.as_ref())?;
        Some(format!("{base}/bookings/{booking_id}"))
    }
}

/// Reads `PUBLIC_URL`, without a trailing slash.
pub(crate) fn public_url(lookup: Lookup) -> Result<Option<String>, SettingError> {
    read_or(
        lookup,
        "PUBLIC_URL",
        None,
        |text| parse_base_url(text).map(Some),
        "an http or https URL without query",
    )
}

/// Reads `APP_LINK_BASE`, without a trailing slash. iOS and Android take https alone.
pub(crate) fn app_link_base(lookup: Lookup) -> Result<Option<String>, SettingError> {
    let parse = |text: &str| parse_base_url(text).filter(|base| base.starts_with("https://"));
    read_or(
        lookup,
        "APP_LINK_BASE",
        None,
        |text| parse(text).map(Some),
        "an https URL without query",
    )
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

/// People's choices pass through it: in plain text on this computer alone. It becomes part of a
/// mail's header, which has at most 995 characters.
fn parse_link_base_url(text: &str) -> Option<String> {
    let base = parse_base_url(text).filter(|base| base.is_ascii() && base.len() <= 200)?;
    let url = Url::parse(&base).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    (url.scheme() == "https" || is_here).then_some(base)
}

fn parse_logo_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    (url.scheme() == "https" && url.username().is_empty() && url.password().is_none())
        .then(|| url.into())
}

/// Lines, also with `\n` between them: not every place for a setting takes line breaks.
fn parse_signature(text: &str) -> Option<Vec<String>> {
    let text = text.replace("\\n", "\n");
    let lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
    let is_short =
        |line: &String| line.chars().count() <= 200 && !line.chars().any(char::is_control);
    (lines.len() <= 10 && lines.iter().all(is_short)).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::{Color, parse_signature};

    #[test]
    fn text_on_every_colour_has_enough_contrast() {
        let steps = || (0..=255_u8).step_by(5);
        for red in steps() {
            for green in steps() {
                for blue in steps() {
                    let color = Color([red, green, blue]);
                    let text = Color::parse(color.text()).expect("a colour");
                    let (light, dark) = (text.luminance(), color.luminance());
                    let contrast = (light.max(dark) + 0.05) / (light.min(dark) + 0.05);
                    assert!(contrast >= 4.5, "{color}: {contrast}");
                }
            }
        }
    }

    #[test]
    fn colours_are_written_as_they_were_read() {
        assert_eq!(
            Color::parse("#1D4ed8").expect("a colour").to_string(),
            "#1d4ed8"
        );
        for text in [
            "1d4ed8", "#1d4ed", "#1d4ed8f", "#+1d4ed", "#é1234", "red", "#fff",
        ] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_signature_has_lines() {
        let lines = ["Studio Nord", "Ringstraße 1"];
        for text in ["Studio Nord\\nRingstraße 1", "Studio Nord\n Ringstraße 1"] {
            assert_eq!(parse_signature(text).expect("lines"), lines);
        }
        for text in ["a\tb".to_owned(), "x".repeat(201), "a\n".repeat(11)] {
            assert_eq!(parse_signature(&text), None, "{text}");
        }
    }
}
