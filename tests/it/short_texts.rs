//! The built-in texts of SMS: what each costs at worst, in each language.

use std::collections::BTreeSet;
use std::time::Duration;

use booking_automation::messages::facts::BookingFacts;
use booking_automation::messages::kind_name::KindName;
use booking_automation::messages::languages::Language;
use booking_automation::messages::samples::samples;
use booking_automation::messages::settings::MessageSettings;
use booking_automation::messages::sms::segments;
use booking_automation::messages::wording::Wording;
use booking_automation::messages::{Kind, render};
use chrono::{DateTime, TimeDelta, Utc};

/// Languages whose words have only characters of the GSM 7-bit alphabet.
const NARROW: [&str; 4] = ["de", "en", "en-GB", "it"];
/// Languages with letters that this alphabet lacks, and those of them that are in the texts: in the
/// names of a day, a month and a zone. Such a text costs two or three segments.
const ALMOST: [(&str, &str); 3] = [("es", "áí"), ("fr", "û"), ("pt", "áí")];

/// Long names, as many have them, and a start at this time.
fn long(facts: &BookingFacts, starts_at: DateTime<Utc>, minutes: u64) -> BookingFacts {
    BookingFacts {
        service: Some("Deep tissue massage 60 min".to_owned()),
        with_name: Some("Dr. Petra Oberleitner".to_owned()),
        starts_at,
        starts_in: Duration::from_secs(60 * minutes),
        ..facts.clone()
    }
}

/// Every month with every weekday, on days of two digits, at times of two digits.
fn starts() -> impl Iterator<Item = DateTime<Utc>> {
    let first: DateTime<Utc> = "2026-01-22T20:45:00Z".parse().unwrap();
    (0..12).flat_map(move |month| {
        let month = first
            .checked_add_months(chrono::Months::new(month))
            .unwrap();
        (0..7).map(move |day| month + TimeDelta::days(day))
    })
}

/// The texts of the SMS of a kind: with samples, and with long names, at each of the starts.
fn texts(kind: KindName, language: &'static Language) -> Vec<String> {
    let settings = MessageSettings::from_environment(&|_| None).unwrap();
    let wording = Wording::default();
    let write =
        |kind: &Kind, facts: &BookingFacts| render(kind, facts, &settings, &wording).unwrap().short;
    let mut texts = Vec::new();
    for audience in ["customer", "provider"] {
        let samples = samples(kind, audience, language.tag());
        texts.extend(
            samples
                .iter()
                .map(|sample| write(&sample.kind, &sample.facts)),
        );
        let usual = samples.first().unwrap();
        let times = [15, 60, 119, 1_439, 2_879].into_iter().cycle();
        for (starts_at, minutes) in starts().zip(times) {
            let facts = long(&usual.facts, starts_at, minutes);
            let mut kind = usual.kind.clone();
            if let Kind::GroupedReminder(day) | Kind::Digest(day) = &mut kind {
                day.date = starts_at.date_naive();
                day.bookings = vec![facts.clone(); 2];
                day.others = 10;
            }
            texts.push(write(&kind, &facts));
        }
    }
    texts
}

#[test]
fn the_worst_usual_text_of_each_kind_is_one_segment_where_the_alphabet_allows_it() {
    for language in Language::all() {
        let tag = language.tag();
        let letters = ALMOST.iter().find(|(almost, _)| *almost == tag);
        let mut wide = BTreeSet::new();
        for kind in KindName::ALL {
            for text in texts(*kind, language) {
                let is_wide = |one: &char| segments(&one.to_string()).wide.is_some();
                wide.extend(text.chars().filter(is_wide));
                let found = segments(&text).count;
                if let Some((_, letters)) = letters {
                    // Only these letters make it longer.
                    let narrow = text.replace(|one| letters.contains(one), "a");
                    assert_eq!(segments(&narrow).count, 1, "{tag} {kind}: {text}");
                }
                let most = if NARROW.contains(&tag) { 1 } else { 3 };
                assert!(found <= most, "{tag} {kind}: {found} {text}");
            }
        }
        if NARROW.contains(&tag) || letters.is_some() {
            let expected = letters.map_or("", |(_, letters)| letters);
            assert_eq!(wide.into_iter().collect::<String>(), expected, "{tag}");
        }
    }
}
