//! Each kind of message in each language: what it says, and what no text of a user can make of it.

use std::time::Duration;

use booking_automation::messages::facts::{BookingFacts, Canceller, DayFacts, RefundFacts};
use booking_automation::messages::{Kind, Message};
use chrono::{DateTime, TimeDelta, Utc};
use iso_currency::Currency;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::languages::{babel, is_regional, plain_spaces, reminder, tags, written_as};

fn starts_at() -> DateTime<Utc> {
    "2026-10-25T13:30:00Z".parse().unwrap()
}

fn moved() -> Kind {
    let from = starts_at() - TimeDelta::hours(43);
    Kind::Rescheduled { from: Some(from) }
}

fn refund(refund: Value) -> RefundFacts {
    serde_json::from_value(refund).unwrap()
}

fn half() -> RefundFacts {
    refund(
        json!({"percent": "50", "total": "1234.50", "amount": "617.25", "kept": "617.25",
                  "policy": {"source": "service", "name": "flexible"}, "currency": "EUR"}),
    )
}

fn cancelled(by: Option<Canceller>, refund: Option<RefundFacts>) -> Kind {
    Kind::Cancelled { by, refund }
}

/// A day: this booking, another one of an hour and a half that is online, and others.
pub fn day_of(facts: &BookingFacts, others: usize) -> DayFacts {
    let later = BookingFacts {
        booking_id: Uuid::from_u128(facts.booking_id.as_u128() + 1),
        starts_at: facts.starts_at + TimeDelta::minutes(90),
        duration_minutes: Some(90),
        is_online: true,
        meeting_link: (facts.meeting_link.clone())
            .or(Some("https://studio.example/join".to_owned())),
        ..facts.clone()
    };
    DayFacts {
        date: starts_at().date_naive(),
        bookings: vec![facts.clone(), later],
        others,
    }
}

/// The kind, with this booking as the first one of its day if it is about a day.
pub fn about(kind: &Kind, facts: &BookingFacts) -> Kind {
    match kind {
        Kind::Digest(day) => Kind::Digest(day_of(facts, day.others)),
        Kind::GroupedReminder(day) => Kind::GroupedReminder(day_of(facts, day.others)),
        kind => kind.clone(),
    }
}

pub fn all_kinds() -> Vec<Kind> {
    vec![
        Kind::Reminder,
        Kind::Confirmed,
        moved(),
        cancelled(Some(Canceller::Customer), Some(half())),
        Kind::Expired,
        Kind::FollowUp,
        Kind::Digest(day_of(&booking("en", "provider"), 2)),
        Kind::GroupedReminder(day_of(&booking("en", "provider"), 0)),
    ]
}

/// A booking in Vienna, for the customer there, or the provider who is in New York.
pub fn booking(language: &str, audience: &str) -> BookingFacts {
    let facts = match audience {
        "customer" => reminder(language, starts_at(), "Europe/Vienna"),
        _ => reminder(language, starts_at(), "America/New_York"),
    };
    BookingFacts {
        audience: audience.to_owned(),
        ..facts
    }
}

#[test]
fn each_kind_matches_its_snapshot_in_each_language_and_two_zones() {
    for tag in tags() {
        let mut mails = Vec::new();
        for kind in all_kinds() {
            for audience in ["customer", "provider"] {
                let facts = booking(tag, audience);
                let mail = written_as(&about(&kind, &facts), &facts);
                mails.push(format!("{}\n{}\n\n{}", mail.subject, mail.short, mail.text));
            }
        }
        // What else a cancellation may say: by whom, and what is refunded.
        for (by, percent) in [
            (
                Some(Canceller::Provider),
                json!({"percent": "100", "total": "5000", "amount": "5000", "currency": "JPY"}),
            ),
            (
                Some(Canceller::Business),
                json!({"percent": "0", "total": "50.00", "amount": "0.00"}),
            ),
            (
                None,
                json!({"percent": "12.50", "total": null, "amount": null}),
            ),
        ] {
            let mail = written_as(
                &cancelled(by, Some(refund(percent))),
                &booking(tag, "customer"),
            );
            let opening: Vec<_> = mail
                .text
                .lines()
                .skip(2)
                .take_while(|line| !line.is_empty())
                .collect();
            mails.push(opening.join("\n"));
        }
        insta::assert_snapshot!(format!("kinds_{tag}"), mails.join("\n----\n"));
    }
    let arabic = written_as(&moved(), &booking("ar", "provider"));
    insta::assert_snapshot!("rescheduled_ar_html", arabic.html);
}

#[test]
fn each_kind_has_the_facts_that_concern_it() {
    let online = |kind: &Kind| {
        let mut facts = booking("en", "customer");
        facts.is_online = true;
        facts.meeting_link = Some("https://meet.example/a".to_owned());
        facts.starts_in = Duration::from_secs(26 * 3600);
        written_as(kind, &facts)
    };
    for (kind, is_ahead) in all_kinds()
        .iter()
        .zip([true, true, true, false, false, false])
    {
        let mail = online(kind);
        for part in [&mail.text, &mail.html] {
            assert_eq!(
                part.contains("https://meet.example/a"),
                is_ahead,
                "{kind:?}: {part}"
            );
            assert_eq!(
                part.contains("The clocks change"),
                is_ahead,
                "{kind:?}: {part}"
            );
            assert!(part.contains("https://studio.example/bookings/"), "{part}");
            for fact in ["Massage", "Petra", "Sunday, October 25, 2026"] {
                assert!(part.contains(fact), "{kind:?}: {part}");
            }
            let before = "Friday, October 23, 2026";
            assert_eq!(
                part.contains(before),
                matches!(kind, Kind::Rescheduled { .. }),
                "{part}"
            );
        }
    }
    let unknown = online(&Kind::Rescheduled { from: None });
    assert!(!unknown.text.contains("Before"), "{}", unknown.text);
}

#[test]
fn the_time_before_a_move_is_in_the_same_zones() {
    let mail = written_as(&moved(), &booking("en-GB", "provider"));
    let text = plain_spaces(&mail.text);
    let lines: Vec<_> = text
        .lines()
        .skip_while(|line| !line.starts_with("Before"))
        .take(4)
        .collect();
    assert_eq!(
        lines,
        [
            "Before: Friday, 23 October 2026, 20:30–21:30 Central European Time (UTC+02:00)",
            "Friday, 23 October 2026, 14:30–15:30 Eastern Time (UTC−04:00), your local time",
            "When: Sunday, 25 October 2026, 14:30–15:30 Central European Time (UTC+01:00)",
            "Sunday, 25 October 2026, 09:30–10:30 Eastern Time (UTC−04:00), your local time",
        ]
    );
    assert!(
        mail.html.contains("<s>Friday, 23 October 2026"),
        "{}",
        mail.html
    );
    assert!(
        mail.subject
            .ends_with("now Sun 25 Oct, 14:30 (Central European Time)"),
        "{}",
        mail.subject
    );
}

fn opening(mail: &Message) -> String {
    let lines: Vec<_> = mail
        .text
        .lines()
        .skip(2)
        .take_while(|line| !line.is_empty())
        .collect();
    plain_spaces(&lines.join(" "))
}

#[test]
fn a_cancellation_says_by_whom_as_the_reader_sees_it() {
    use Canceller::{Business, Customer, Provider};
    for (audience, by, says) in [
        ("customer", Some(Customer), "You canceled this booking."),
        (
            "provider",
            Some(Customer),
            "The customer canceled this booking.",
        ),
        (
            "customer",
            Some(Provider),
            "The provider canceled this booking.",
        ),
        ("provider", Some(Provider), "You canceled this booking."),
        ("customer", Some(Business), "We canceled this booking."),
        ("provider", Some(Business), "We canceled this booking."),
        ("customer", None, "This booking was canceled."),
    ] {
        let mail = written_as(&cancelled(by, None), &booking("en", audience));
        assert_eq!(opening(&mail), says, "{audience} {by:?}");
    }
}

#[test]
fn a_refund_is_written_as_far_as_it_is_known() {
    for (given, says) in [
        (
            json!({"percent": "50", "total": "1234.50", "amount": "617.25", "currency": "EUR"}),
            "€617.25 of €1,234.50 will be refunded.",
        ),
        (
            json!({"percent": "100", "total": "49.9", "amount": "49.90", "currency": "EUR"}),
            "The full price of €49.90 will be refunded.",
        ),
        (
            json!({"percent": "0", "total": "49.90", "amount": "0.00", "currency": "EUR"}),
            "Nothing will be refunded.",
        ),
        // Minor units: cents, yen, and fils.
        (
            json!({"percent": "50", "total": "4999", "amount": "2499", "currency": "EUR", "unit": "minor"}),
            "€24.99 of €49.99 will be refunded.",
        ),
        (
            json!({"percent": "50", "total": "5000", "amount": "5", "currency": "JPY", "unit": "minor"}),
            "¥5 of ¥5,000 will be refunded.",
        ),
        (
            json!({"percent": "50", "total": "10000.00", "amount": "50", "currency": "KWD", "unit": "minor"}),
            "KWD 0.050 of KWD 10.000 will be refunded.",
        ),
        (
            json!({"percent": "50", "total": "50", "amount": "25", "currency": "USD", "unit": "major"}),
            "$25.00 of $50.00 will be refunded.",
        ),
        // Without a currency: the number alone, unless it counts minor units of a currency that is not known.
        (
            json!({"percent": "50", "total": "1050.5", "amount": "525.25"}),
            "525.25 of 1,050.50 will be refunded.",
        ),
        (
            json!({"percent": "50", "total": "4999", "amount": "2499", "unit": "minor"}),
            "50% of the price will be refunded.",
        ),
        (
            json!({"percent": "50", "total": "9", "amount": "4", "currency": "???", "unit": "minor"}),
            "50% of the price will be refunded.",
        ),
        // No price.
        (
            json!({"percent": "33.30", "total": null, "amount": null}),
            "33.3% of the price will be refunded.",
        ),
        (
            json!({"percent": "0", "total": null, "amount": null}),
            "Nothing will be refunded.",
        ),
        // Nothing that could be said: free of charge, or not a number.
        (
            json!({"percent": "100", "total": "0.00", "amount": "0.00", "currency": "EUR"}),
            "",
        ),
        (
            json!({"percent": "half", "total": "a lot", "amount": "-5"}),
            "",
        ),
        (
            json!({"percent": "NaN", "total": "1e9", "amount": "1e9", "currency": "EUR"}),
            "",
        ),
        (
            json!({"percent": "", "total": "9".repeat(10_000), "amount": "5"}),
            "",
        ),
    ] {
        let mail = written_as(
            &cancelled(None, Some(refund(given.clone()))),
            &booking("en", "customer"),
        );
        let said = opening(&mail);
        let said = said.trim_start_matches("This booking was canceled.").trim();
        assert_eq!(said, says, "{given}");
    }
}

#[test]
fn money_is_written_as_in_cldr() {
    let Some(cldr) = babel(&[]) else { return };
    for tag in tags() {
        let said = |total: &str, amount: &str, currency: &str| {
            let given =
                json!({"percent": "50", "total": total, "amount": amount, "currency": currency});
            let mail = written_as(
                &cancelled(None, Some(refund(given))),
                &booking(tag, "customer"),
            );
            opening(&mail).replace(['\u{2068}', '\u{2069}'], "")
        };
        for line in cldr[tag]["money"].as_array().unwrap() {
            let [amount, currency, expected] = [0, 1, 2].map(|at| line[at].as_str().unwrap());
            // Prices in yen have no fractions.
            if amount.contains('.') && ["JPY", "KRW"].contains(&currency) {
                continue;
            }
            let (said, expected) = (said("99999999", amount, currency), plain_spaces(expected));
            assert!(said.contains(&expected), "{tag} {expected:?}: {said:?}");
        }
        for (currency, sign) in cldr[tag]["signs"].as_object().unwrap() {
            // ISO 4217 has a code for transactions without a currency: number 999.
            if Currency::from_code(currency).is_some_and(|currency| currency.numeric() != 999) {
                let said = said("99999999", "5", currency);
                let sign = plain_spaces(sign.as_str().unwrap());
                assert!(said.contains(&sign), "{tag} {currency} {sign}: {said}");
            }
        }
        let given = json!({"percent": "12.5", "total": null, "amount": null});
        let mail = written_as(
            &cancelled(None, Some(refund(given))),
            &booking(tag, "customer"),
        );
        let percent = plain_spaces(cldr[tag]["percent"].as_str().unwrap());
        assert!(
            opening(&mail).contains(&percent),
            "{tag} {percent}: {}",
            opening(&mail)
        );
        // Which Babel does not know: from how many digits on a number has groups.
        let groups_four = !["es", "it", "pl"].contains(&tag);
        let said = said("5000", "5", "EUR");
        assert_ne!(said.contains("5000"), groups_four, "{tag}: {said}");
    }
}

#[test]
fn a_short_text_is_one_sentence_with_service_time_and_person() {
    for tag in tags() {
        for kind in all_kinds() {
            for audience in ["customer", "provider"] {
                let short = written_as(&kind, &booking(tag, audience)).short;
                for fact in ["Massage", "Petra", "25"] {
                    assert!(short.contains(fact), "{tag} {kind:?}: {short}");
                }
                // Any of these makes an SMS twice as long.
                let doubles = ['’', '–', '\u{a0}', '\u{202f}', '\u{2068}', '\u{2069}', '\n'];
                assert!(!short.contains(doubles), "{tag} {kind:?}: {short:?}");
                // Of two parts, even in the letters of a language of which an SMS holds 67.
                assert!(short.chars().count() <= 134, "{tag} {kind:?}: {short}");
            }
        }
    }
}

/// A message whose texts are all this one: of a booking at a place, and of one with a link only.
fn with_text(tag: &str, kind: &Kind, text: &str, is_at_place: bool) -> Message {
    let all = || Some(text.to_owned());
    let kind = match kind {
        Kind::Cancelled { by, .. } => cancelled(
            *by,
            Some(refund(
                json!({"percent": "50", "total": text, "amount": text, "currency": text}),
            )),
        ),
        other => other.clone(),
    };
    let facts = BookingFacts {
        name: all(),
        service: all(),
        with_name: all(),
        place: all().filter(|_| is_at_place),
        meeting_link: all(),
        timezone: all(),
        reply_to: all(),
        preferences_link: None,
        attendance_link: None,
        ..booking(tag, "customer")
    };
    written_as(&about(&kind, &facts), &facts)
}

#[test]
fn no_text_of_a_user_adds_lines_tags_or_directions() {
    const HOSTILE: [&str; 6] = [
        "a\r\nBcc: victim@example.com\r\n\r\nbody",
        "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;",
        "\u{202e}evil\u{2066}\u{2067}\u{202d}",
        "{ $name } { your-booking } {{ page.subject }} %s ${x}",
        "a\u{2028}b\u{2029}c\u{85}d\u{0}e\u{b}f",
        "x",
    ];
    let turns = |one: char| ('\u{202a}'..='\u{202e}').contains(&one);
    for tag in tags() {
        for (kind, is_at_place) in all_kinds()
            .iter()
            .flat_map(|kind| [(kind, true), (kind, false)])
        {
            let tame = with_text(tag, kind, "x", is_at_place);
            for text in HOSTILE {
                let mail = with_text(tag, kind, text, is_at_place);
                for line in [&mail.subject, &mail.short] {
                    let breaks = |one: char| {
                        one.is_control()
                            || turns(one)
                            || "\u{2028}\u{2029}\u{2066}\u{2067}\u{2068}\u{2069}".contains(one)
                    };
                    assert!(!line.contains(breaks), "{tag} {kind:?}: {line:?}");
                }
                assert_eq!(
                    mail.text.lines().count(),
                    tame.text.lines().count(),
                    "{tag} {kind:?}: {}",
                    mail.text
                );
                assert_eq!(
                    mail.html.matches('<').count(),
                    tame.html.matches('<').count(),
                    "{}",
                    mail.html
                );
                for part in [&mail.text, &mail.html] {
                    let turned = |one: char| turns(one) || "\u{2066}\u{2067}".contains(one);
                    assert!(!part.contains(turned), "{tag} {kind:?}: {part:?}");
                    let (opened, closed) = (
                        part.matches('\u{2068}').count(),
                        part.matches('\u{2069}').count(),
                    );
                    assert_eq!(opened, closed, "{tag} {kind:?}: {part:?}");
                }
            }
        }
    }
}

#[test]
fn languages_are_told_apart_in_each_text() {
    // A text that was copied from English and not translated.
    for tag in tags()
        .into_iter()
        .filter(|tag| !is_regional(tag) && *tag != "en")
    {
        for kind in all_kinds() {
            let (english, own) = (
                written_as(&kind, &booking("en", "provider")),
                written_as(&kind, &booking(tag, "provider")),
            );
            assert_ne!(opening(&english), opening(&own), "{tag} {kind:?}");
        }
    }
}
