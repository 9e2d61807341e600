//! Durations as settings and parameters write them: `90s`, `15m`, `24h`, `7d`.

use std::time::Duration;

/// Parses `90s`, `15m`, `24h`, `7d`: a whole number and its unit, at most 365 days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse_duration_up_to(text, 365)
}

pub(crate) fn parse_duration_up_to(text: &str, days: u64) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())??;
    let seconds = number.checked_mul(seconds)?;
    (seconds <= days * 24 * 3600).then(|| Duration::from_secs(seconds))
}
