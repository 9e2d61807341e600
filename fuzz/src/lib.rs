//! Shared by several targets: an environment as input, an independent parser of durations, mutations of JSON.

pub mod json;

use std::collections::HashMap;
use std::time::Duration;

/// Environment variables: `NAME=value`, each followed by a NUL byte, which no value can contain. Of several with the same name, the
/// last one counts.
pub fn environment(input: &str) -> HashMap<&str, &str> {
    input
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .collect()
}

/// A duration as docs/settings.md defines it: digits and one of `s`, `m`, `h`, `d`, with a maximum in days.
pub fn duration(text: &str, most_days: u64) -> Option<Duration> {
    let mut characters: Vec<char> = text.chars().collect();
    let unit = match characters.pop()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    if characters.is_empty() {
        return None;
    }
    let mut seconds = 0_u128;
    for character in characters {
        let digit = "0123456789".chars().position(|digit| digit == character)?;
        seconds = (seconds * 10 + digit as u128 * unit).min(u64::MAX.into());
    }
    (seconds <= u128::from(most_days) * 24 * 60 * 60).then(|| Duration::from_secs(seconds as u64))
}
