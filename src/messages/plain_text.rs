//! Other people's input, made fit for one line of a message.

/// In one line, no longer than a subject can bear.
pub(crate) fn one_line(text: Option<&str>) -> Option<String> {
    const LONGEST: usize = 200;
    let line: String = plain(text?).chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}

/// Whole or not at all: half of one leads nowhere. Those of video meetings have 300 characters and more.
pub(crate) fn whole_link(link: Option<&str>) -> Option<String> {
    const LONGEST: usize = 2000;
    Some(plain(link?)).filter(|link| !link.is_empty() && link.len() <= LONGEST)
}

/// Names are other people's input: no line breaks or control characters, and none that turn the direction of what follows (a
/// time would read backwards).
fn plain(text: &str) -> String {
    let turns = |c: &char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(|c| !turns(c)).collect();
    let words: Vec<_> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}
