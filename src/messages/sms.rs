//! How many segments a text has as an SMS (3GPP TS 23.038, section 6.2.1, and TS 23.040, section
//! 9.2.3.24.1): one with up to 160 characters of the GSM 7-bit alphabet, else of up to 153 each;
//! with any other character, UTF-16 in one of up to 70 units, else of up to 67 each.

/// The default alphabet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: each counts two.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// A text as an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How many are sent, and paid.
    pub count: usize,
    /// Septets, or units of UTF-16.
    pub units: usize,
    /// The first character that the GSM 7-bit alphabet lacks; `None`: it has them all.
    pub wide: Option<char>,
}

/// Counts the segments of a text.
pub fn segments(text: &str) -> Segments {
    let wide = text.chars().find(|one| septets(*one).is_none());
    let (single, each) = match wide {
        None => (160, 153),
        Some(_) => (70, 67),
    };
    let sizes = text.chars().map(|one| match wide {
        None => septets(one).unwrap_or_default(),
        Some(_) => one.len_utf16(),
    });
    let units = sizes.clone().sum();
    let count = match units <= single {
        true => 1,
        false => split(sizes, each),
    };
    Segments { count, units, wide }
}

/// The size of a character in the GSM 7-bit alphabet.
fn septets(one: char) -> Option<usize> {
    match one {
        _ if BASIC.contains(one) => Some(1),
        _ if EXTENSION.contains(one) => Some(2),
        _ => None,
    }
}

/// No character is divided between two segments.
fn split(sizes: impl Iterator<Item = usize>, each: usize) -> usize {
    let (mut count, mut used) = (1, 0);
    for size in sizes {
        if used + size > each {
            count += 1;
            used = 0;
        }
        used += size;
    }
    count
}
