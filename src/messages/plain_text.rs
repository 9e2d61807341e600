//! Cleans text that other people entered, for use in one line of a message.

use std::iter;
use std::net::Ipv4Addr;

use unicode_segmentation::UnicodeSegmentation;

use crate::messages::languages::Language;

/// On one line, and short enough for a subject. A text that was cut says so, and was cut between
/// characters as people see them: no accent, no part of a family of emojis is left alone.
pub(crate) fn one_line(text: Option<&str>) -> Option<String> {
    const LONGEST: usize = 200;
    let line = single_line(text?);
    let line = match line.char_indices().nth(LONGEST) {
        None => line,
        Some(_) => {
            let mut room = LONGEST - 1;
            let fits = |grapheme: &&str| {
                let left = room.checked_sub(grapheme.chars().count());
                room = left.unwrap_or_default();
                left.is_some()
            };
            let kept: String = line.graphemes(true).take_while(fits).collect();
            format!("{}…", kept.trim_end())
        }
    };
    (!line.is_empty()).then_some(line)
}

/// The whole link or none: a shortened link does not work. Links to video meetings have 300
/// characters and more.
pub(crate) fn whole_link(link: Option<&str>) -> Option<String> {
    const LONGEST: usize = 2000;
    Some(single_line(link?)).filter(|link| !link.is_empty() && link.len() <= LONGEST)
}

/// Removes line breaks and control characters, and characters that reverse the direction of the
/// text after them (a time would read backwards).
fn single_line(text: &str) -> String {
    let turns = |c: &char| {
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text: String = text.chars().filter(|c| !turns(c)).collect();
    let words: Vec<_> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// Whether a mail reader would find a URL, a domain or an address in a text.
pub(crate) fn holds_link(text: &str) -> bool {
    links_at(text).next().is_some()
}

/// Without anything that mail readers would make a link on their own, since everybody can enter a
/// name: a word joiner (U+2060) on both sides of what makes it one. It is invisible and breaks no
/// line; the text stays readable, which it would not be without its addresses.
pub(crate) fn without_links(text: &str) -> String {
    replace_marks(text, |mark| format!("\u{2060}{mark}\u{2060}"))
}

/// The same with a space behind the mark, for an SMS whose alphabet lacks the word joiner:
/// `Dr.Anna` becomes `Dr. Anna`, and `evil.example` becomes `evil. example`.
pub(crate) fn without_links_in_gsm(text: &str) -> String {
    replace_marks(text, |mark| format!("{mark} "))
}

/// Replaces each mark that makes a link.
fn replace_marks(text: &str, written: impl Fn(char) -> String) -> String {
    let mut parts = String::with_capacity(text.len());
    let mut end = 0;
    for (start, mark) in links_at(text) {
        parts.push_str(&text[end..start]);
        parts.push_str(&written(mark));
        end = start + mark.len_utf8();
    }
    parts + &text[end..]
}

/// The colons before two slashes, the `@` within a word, the dots within a word that have two
/// letters behind them, as a domain's last one has, and those of an IP address (`203.0.113.5`).
fn links_at(text: &str) -> impl Iterator<Item = (usize, char)> {
    let before = iter::once(' ').chain(text.chars().filter(is_visible));
    let marks = text.char_indices().filter(|(_, mark)| is_visible(mark));
    marks.zip(before).filter_map(|((at, mark), before)| {
        let rest = &text[at + mark.len_utf8()..];
        let mut after = rest.chars().filter(is_visible);
        let after = [after.next(), after.next()].map(|one| one.unwrap_or(' '));
        let makes_link = match mark {
            ':' => after == ['/', '/'],
            '@' => !before.is_whitespace() && !after[0].is_whitespace(),
            '.' => {
                let is_of_domain = after.iter().all(|one| one.is_alphabetic());
                !before.is_whitespace() && (is_of_domain || is_in_ip_address(text, at))
            }
            _ => false,
        };
        makes_link.then_some((at, mark))
    })
}

/// Whether a reader sees a character. A word goes on beyond the others, such as a soft hyphen.
fn is_visible(letter: &char) -> bool {
    !matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// Whether the dot at `at` is one of an IPv4 address.
fn is_in_ip_address(text: &str, at: usize) -> bool {
    let is_other = |one: char| !one.is_ascii_digit() && one != '.' && is_visible(&one);
    let before = text[..at].rsplit(is_other).next().unwrap_or_default();
    let behind = text[at..].split(is_other).next().unwrap_or_default();
    let word: String = [before, behind]
        .concat()
        .chars()
        .filter(is_visible)
        .collect();
    word.trim_matches('.').parse::<Ipv4Addr>().is_ok()
}

/// A name within a sentence. Where one of the two is written from right to left, it is isolated
/// (U+2068, U+2069), so that neither changes the order of the other.
pub(crate) fn isolated(language: &Language, name: String) -> String {
    if language.is_right_to_left() || name.chars().any(is_right_to_left) {
        format!("\u{2068}{name}\u{2069}")
    } else {
        name
    }
}

/// Without what [`isolated`] adds: for subjects, which some readers show with boxes in its place.
pub(crate) fn without_isolates(text: &str) -> String {
    text.replace(['\u{2068}', '\u{2069}'], "")
}

/// Blocks of Unicode in which all letters are written from right to left: Hebrew to Arabic
/// Extended-A, their presentation forms, and U+10800 to U+10FFF and U+1E800 to U+1EFFF.
fn is_right_to_left(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// With plain spaces, apostrophes, dashes and dots: any other makes an SMS twice as long.
pub(crate) fn without_typography(text: &str) -> String {
    let plain = text.chars().map(|one| match one {
        '\u{a0}' | '\u{202f}' | '\u{2009}' => ' ',
        '’' => '\'',
        '–' | '\u{2212}' => '-',
        other => other,
    });
    // The end of a text that was cut.
    plain.collect::<String>().replace('…', "...")
}
