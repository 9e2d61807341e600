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

use crate::app::skipped;
use crate::languages::tags;
use crate::wording::calculated;

/// Languages whose letters the GSM 7-bit alphabet lacks, and the segments of their longest texts.
const WIDE: [(&str, usize); 3] = [("ar", 3), ("ja", 2), ("zh", 2)];
/// A zone with an offset of its own, so that a message names the zone of the place.
const ELSEWHERE: &str = "Pacific/Marquesas";

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

/// At a place in this zone, to somebody in another one.
fn at_place(facts: BookingFacts, zone: &str) -> BookingFacts {
    BookingFacts {
        timezone: Some(ELSEWHERE.to_owned()),
        place_timezone: Some(zone.to_owned()),
        ..facts
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

/// A zone of each name, and one without a name.
fn zones() -> impl Iterator<Item = &'static str> {
    let named = include_str!("../../src/messages/zones.txt").lines();
    named
        .map(|line| line.split(' ').nth(1).unwrap())
        .chain(["Etc/GMT+12"])
}

fn short_text(kind: &Kind, facts: &BookingFacts) -> String {
    let settings = MessageSettings::from_environment(&|_| None).unwrap();
    let mut kind = kind.clone();
    if let Kind::GroupedReminder(day) | Kind::Digest(day) = &mut kind {
        day.date = facts.starts_at.date_naive();
        day.bookings = vec![facts.clone(); 2];
        day.others = 10;
    }
    render(&kind, facts, &settings, &Wording::default())
        .unwrap()
        .short
}

/// The zone whose name makes the longest text.
fn longest_zone(language: &Language) -> &'static str {
    let confirmed = samples(KindName::Confirmed, "customer", language.tag());
    let usual = confirmed.first().unwrap();
    let size = |zone: &&str| {
        let facts = at_place(usual.facts.clone(), zone);
        let sms = segments(&short_text(&usual.kind, &facts));
        (sms.wide.is_some(), sms.units)
    };
    zones().max_by_key(size).unwrap()
}

/// The texts of the SMS of a kind: with samples, and with long names, at each of the starts, in the
/// zone of the sample and in this one.
fn texts(kind: KindName, language: &Language, zone: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for audience in ["customer", "provider"] {
        let samples = samples(kind, audience, language.tag());
        texts.extend((samples.iter()).map(|sample| short_text(&sample.kind, &sample.facts)));
        let usual = samples.first().unwrap();
        let days = 24 * 60;
        let times = [
            15,
            60,
            119,
            days - 1,
            2 * days - 1,
            4 * days - 60,
            183 * days - 60,
        ];
        for (starts_at, minutes) in starts().zip(times.into_iter().cycle()) {
            let facts = long(&usual.facts, starts_at, minutes);
            texts.push(short_text(&usual.kind, &facts));
            texts.push(short_text(&usual.kind, &at_place(facts, zone)));
        }
    }
    texts
}

#[test]
fn the_longest_usual_text_is_one_segment_where_the_alphabet_has_the_letters() {
    let mut all = BTreeSet::new();
    for language in Language::all() {
        let tag = language.tag();
        let wide = WIDE.iter().find(|(wide, _)| *wide == tag);
        let zone = longest_zone(language);
        let mut worst = 0;
        for kind in KindName::ALL {
            for text in texts(*kind, language, zone) {
                let found = segments(&text);
                worst = worst.max(found.count);
                if wide.is_none() {
                    assert_eq!((found.wide, found.count), (None, 1), "{tag} {kind}: {text}");
                }
                all.insert((tag, text));
            }
        }
        if let Some((_, most)) = wide {
            assert_eq!(worst, *most, "{tag}");
        }
    }
    let (tags, texts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let Some(calculated) = calculated(&texts) else {
        return skipped("sms-segments-calculator is not installed (make judges)");
    };
    for ((tag, text), (count, encoding)) in tags.iter().zip(&texts).zip(calculated) {
        match WIDE.iter().find(|(wide, _)| wide == tag) {
            None => assert_eq!((count, &*encoding), (1, "GSM-7"), "{tag}: {text}"),
            Some((_, most)) => assert!(count <= *most, "{tag}: {count} {text}"),
        }
    }
}

#[test]
fn no_name_of_a_zone_leaves_the_alphabet() {
    for tag in tags() {
        let samples = samples(KindName::Confirmed, "customer", tag);
        let usual = samples.first().unwrap();
        for zone in zones() {
            let text = short_text(&usual.kind, &at_place(usual.facts.clone(), zone));
            let is_narrow = segments(&text).wide.is_none();
            let is_expected = !WIDE.iter().any(|(wide, _)| *wide == tag);
            assert_eq!(is_narrow, is_expected, "{tag} {zone}: {text}");
        }
    }
}

#[test]
fn an_sms_has_the_offset_of_a_zone_whose_name_makes_it_longer() {
    for (tag, zone, expected) in [
        (
            "es",
            "Europe/Madrid",
            "3 mar, 15:00 (hora de Europa central)",
        ),
        // Its name has á, as that of the day would have on a Saturday.
        (
            "es",
            "America/Argentina/Buenos_Aires",
            "3 mar, 11:00 (UTC-03:00)",
        ),
        (
            "fr",
            "Europe/Paris",
            "mar. 03/03, 15:00 (heure d'Europe centrale)",
        ),
        ("pt", "America/Sao_Paulo", "3 de mar., 11:00 (UTC-03:00)"),
        ("pl", "Europe/Warsaw", "3.03, 15:00 (UTC+01:00)"),
        (
            "de",
            "Europe/Vienna",
            "Di., 3. März, 15:00 (Mitteleuropäische Zeit)",
        ),
        // It has more than 40 characters.
        ("de", "Indian/Kerguelen", "Di., 3. März, 19:00 (UTC+05:00)"),
        ("zh", "Europe/Vienna", "3月3日周二 15:00 (中欧时间)"),
    ] {
        let samples = samples(KindName::Confirmed, "customer", tag);
        let usual = samples.first().unwrap();
        let text = short_text(&usual.kind, &at_place(usual.facts.clone(), zone));
        assert!(text.ends_with(expected), "{tag} {zone}: {text}");
    }
}

#[test]
fn a_name_keeps_its_letters() {
    for tag in tags() {
        let samples = samples(KindName::Confirmed, "customer", tag);
        let usual = samples.first().unwrap();
        let facts = BookingFacts {
            with_name: Some("João".to_owned()),
            ..usual.facts.clone()
        };
        let text = short_text(&usual.kind, &facts);
        assert!(
            text.contains("João") && segments(&text).wide.is_some(),
            "{text}"
        );
    }
}

#[test]
fn a_name_that_mail_readers_would_make_a_link_leaves_no_link_and_stays_in_the_alphabet() {
    for language in Language::all() {
        let tag = language.tag();
        for kind in KindName::ALL {
            let samples = samples(*kind, "customer", tag);
            let usual = samples.first().unwrap();
            let facts = BookingFacts {
                service: Some("Massage at https://evil.example".to_owned()),
                with_name: Some("Dr.Anna x@y.example".to_owned()),
                ..usual.facts.clone()
            };
            let text = short_text(&usual.kind, &facts);
            let expected = match WIDE.iter().any(|(wide, _)| *wide == tag) {
                true => [
                    "Massage at https\u{2060}:\u{2060}//evil\u{2060}.\u{2060}example",
                    "Dr\u{2060}.\u{2060}Anna x\u{2060}@\u{2060}y\u{2060}.\u{2060}example",
                ],
                false => {
                    assert_eq!(segments(&text).wide, None, "{tag} {kind}: {text}");
                    [
                        "Massage at https: //evil. example",
                        "Dr. Anna x@ y. example",
                    ]
                }
            };
            for name in expected {
                assert!(text.contains(name), "{tag} {kind}: {text}");
            }
        }
    }
}

#[test]
fn a_name_that_is_cut_stays_in_the_alphabet() {
    let samples = samples(KindName::Confirmed, "customer", "en");
    let usual = samples.first().unwrap();
    let facts = BookingFacts {
        service: Some("x".repeat(300)),
        ..usual.facts.clone()
    };
    let text = short_text(&usual.kind, &facts);
    assert!(
        text.contains(&format!("{}... with", "x".repeat(199))),
        "{text}"
    );
    assert_eq!(segments(&text).wide, None, "{text}");
}
