//! What a reminder of several bookings of a day says, beyond the snapshots of `kinds.rs`.

use std::time::Duration;

use booking_automation::messages::facts::{BookingFacts, DayFacts};
use booking_automation::messages::kind_name::KindName;
use booking_automation::messages::languages::Language;
use booking_automation::messages::settings::{Look, MessageSettings};
use booking_automation::messages::wording::{OwnText, Wording};
use booking_automation::messages::{Kind, Message, render};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::languages::{plain_spaces, reminder, written_as};

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// A booking at a place in this zone, for a person in New York.
fn at_place(number: u128, starts_at: &str, place_timezone: &str) -> BookingFacts {
    BookingFacts {
        booking_id: Uuid::from_u128(number),
        place: Some(format!("Street {number}")),
        place_timezone: Some(place_timezone.to_owned()),
        ..reminder("en-GB", at(starts_at), "America/New_York")
    }
}

fn online(number: u128, starts_at: &str) -> BookingFacts {
    BookingFacts {
        place: None,
        is_online: true,
        meeting_link: Some(format!("https://meet.example/{number}")),
        ..at_place(number, starts_at, "Europe/Vienna")
    }
}

fn group(bookings: &[BookingFacts]) -> Kind {
    Kind::GroupedReminder(DayFacts {
        date: bookings[0].starts_at.date_naive(),
        bookings: bookings.to_vec(),
        others: 0,
    })
}

fn of(bookings: &[BookingFacts]) -> Message {
    written_as(&group(bookings), &bookings[0])
}

/// The lines from the one that says when, without links to bookings.
fn lines(mail: &Message) -> Vec<String> {
    let text = plain_spaces(&mail.text);
    text.lines()
        .skip_while(|line| !line.starts_with("When"))
        .filter(|line| !line.is_empty() && !line.starts_with("Your booking"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn one_zone_is_named_once() {
    let at_home = |number, starts_at| BookingFacts {
        timezone: Some("Europe/Berlin".to_owned()),
        ..at_place(number, starts_at, "Europe/Vienna")
    };
    let mail = of(&[
        at_home(1, "2026-05-04T08:00:00Z"),
        at_home(2, "2026-05-04T14:00:00Z"),
    ]);
    assert_eq!(
        lines(&mail),
        [
            "When: Monday, 4 May 2026 Central European Time (UTC+02:00)",
            "10:00–11:00: Massage with Petra",
            "Street 1",
            "16:00–17:00: Massage with Petra",
            "Street 2",
            "Time zone: Europe/Vienna",
        ]
    );
    assert_eq!(mail.subject, "Reminder: 2 bookings on Mon 4 May");
    assert_eq!(
        mail.short,
        "Reminder: 2 bookings on Mon 4 May; first: 10:00, Massage with Petra"
    );
}

#[test]
fn a_traveller_reads_the_time_of_the_place_and_their_own() {
    let mail = of(&[
        at_place(1, "2026-05-04T08:00:00Z", "Europe/Vienna"),
        at_place(2, "2026-05-04T14:00:00Z", "Europe/Vienna"),
    ]);
    assert_eq!(
        lines(&mail),
        [
            "When: Monday, 4 May 2026 Central European Time (UTC+02:00)",
            "10:00–11:00: Massage with Petra",
            "04:00–05:00 Eastern Time (UTC−04:00), your local time",
            "Street 1",
            "16:00–17:00: Massage with Petra",
            "10:00–11:00 Eastern Time (UTC−04:00), your local time",
            "Street 2",
            "Time zone: Europe/Vienna, America/New_York",
        ]
    );
    let first = "first: 10:00 (Central European Time), Massage with Petra";
    assert!(mail.short.ends_with(first), "{}", mail.short);
}

#[test]
fn each_time_names_its_zone_where_there_are_several() {
    // Of one day in New York; in Tokyo it is the next one.
    let mail = of(&[
        online(1, "2026-05-04T14:00:00Z"),
        at_place(2, "2026-05-04T16:00:00Z", "Asia/Tokyo"),
        at_place(3, "2026-05-04T18:00:00Z", "America/New_York"),
    ]);
    assert_eq!(
        lines(&mail),
        [
            "When: Monday, 4 May 2026",
            "10:00–11:00 (UTC−04:00): Massage with Petra",
            "Eastern Time",
            "16:00–17:00 Central European Time (UTC+02:00), local time at the other end",
            "Join: https://meet.example/1",
            "Tue 5 May, 01:00 – Tue 5 May, 02:00 (UTC+09:00): Massage with Petra",
            "Japan Standard Time",
            "12:00–13:00 Eastern Time (UTC−04:00), your local time",
            "Street 2",
            "14:00–15:00 (UTC−04:00): Massage with Petra",
            "Eastern Time",
            "Street 3",
            "Time zone: America/New_York, Europe/Vienna, Asia/Tokyo",
        ]
    );
}

#[test]
fn online_bookings_lead_with_the_recipients_time() {
    let mail = of(&[
        online(1, "2026-05-04T14:00:00Z"),
        online(2, "2026-05-04T16:00:00Z"),
    ]);
    assert_eq!(
        lines(&mail),
        [
            "When: Monday, 4 May 2026 Eastern Time (UTC−04:00)",
            "10:00–11:00: Massage with Petra",
            "16:00–17:00 Central European Time (UTC+02:00), local time at the other end",
            "Join: https://meet.example/1",
            "12:00–13:00: Massage with Petra",
            "18:00–19:00 Central European Time (UTC+02:00), local time at the other end",
            "Join: https://meet.example/2",
            "Time zone: America/New_York, Europe/Vienna",
        ]
    );
    assert!(mail.short.contains("; first: 10:00, "), "{}", mail.short);
    // Where their zone is not known, it is that of the other person.
    let unknown = |booking| BookingFacts {
        timezone: None,
        ..booking
    };
    let said = lines(&of(&[
        unknown(online(1, "2026-05-04T14:00:00Z")),
        unknown(online(2, "2026-05-04T16:00:00Z")),
    ]));
    assert_eq!(
        said[..2],
        [
            "When: Monday, 4 May 2026 Central European Time (UTC+02:00)",
            "16:00–17:00: Massage with Petra"
        ]
    );
}

#[test]
fn a_digest_has_the_time_of_the_place_beside_the_persons_own() {
    let bookings = [
        at_place(1, "2026-05-04T14:00:00Z", "Europe/Vienna"),
        at_place(2, "2026-05-04T16:00:00Z", "America/New_York"),
    ];
    let day = DayFacts {
        date: bookings[0].starts_at.date_naive(),
        bookings: bookings.to_vec(),
        others: 0,
    };
    let mail = written_as(&Kind::Digest(day), &bookings[0]);
    assert_eq!(
        lines(&mail),
        [
            "When: Monday, 4 May 2026 Eastern Time (UTC−04:00)",
            "10:00–11:00: Massage with Petra",
            "16:00–17:00 Central European Time (UTC+02:00)",
            "Street 1",
            "12:00–13:00: Massage with Petra",
            "Street 2",
            "Time zone: America/New_York, Europe/Vienna",
        ]
    );
}

#[test]
fn the_day_is_that_of_the_first_time() {
    let mail = of(&[
        at_place(1, "2026-05-04T16:00:00Z", "Asia/Tokyo"),
        at_place(2, "2026-05-04T20:00:00Z", "Asia/Tokyo"),
    ]);
    assert_eq!(mail.subject, "Reminder: 2 bookings on Tue 5 May");
    let first = "first: 01:00 (Japan Standard Time), Massage with Petra";
    assert!(mail.short.ends_with(first), "{}", mail.short);
}

#[test]
fn it_says_that_the_clocks_change_before() {
    let mut bookings = [
        online(1, "2026-11-02T14:00:00Z"),
        online(2, "2026-11-02T16:00:00Z"),
    ];
    let says = |bookings: &[BookingFacts]| of(bookings).text.contains("The clocks change");
    assert!(!says(&bookings));
    // Before either of them.
    for number in 0..2 {
        let usual = bookings[number].starts_in;
        bookings[number].starts_in = Duration::from_secs(48 * 3600);
        assert!(says(&bookings), "{number}");
        bookings[number].starts_in = usual;
    }
}

#[test]
fn each_booking_has_its_own_links() {
    let asked = |booking: BookingFacts| BookingFacts {
        attendance_link: Some(format!("https://links.example/a/{}", booking.booking_id)),
        ..booking
    };
    let bookings = [
        asked(online(1, "2026-05-04T14:00:00Z")),
        asked(online(2, "2026-05-04T16:00:00Z")),
        // One that is not asked about.
        online(3, "2026-05-04T18:00:00Z"),
    ];
    let mail = of(&bookings);
    let text = plain_spaces(&mail.text);
    let (_, list) = text.split_once("\n\n10:00").unwrap();
    let said: Vec<_> = list.split("\n\n").take(3).collect();
    for (booking, said) in bookings.iter().zip(said) {
        let id = booking.booking_id;
        let number = id.as_u128();
        let mut links = vec![format!("Join: https://meet.example/{number}")];
        if let Some(link) = &booking.attendance_link {
            links.push(format!("I’ll be there: {link}"));
            links.push(format!("I can’t come: {link}/cancel"));
        }
        links.push(format!(
            "Your booking: https://studio.example/bookings/{id}"
        ));
        let shown: Vec<_> = said.lines().skip(2).collect();
        assert_eq!(shown, links, "{text}");
        for link in links {
            let (label, target) = link.split_once(": ").unwrap();
            let link =
                format!("<a href=\"{target}\" class=\"link\" style=\"color:#1d4ed8\">{label}</a>");
            assert_eq!(mail.html.matches(&link).count(), 1, "{link}: {}", mail.html);
        }
    }
    // Nothing asks about the message as a whole, and a digest never asks.
    let mut first = bookings[0].clone();
    first.attendance_link = Some("https://links.example/a/whole".to_owned());
    let day = DayFacts {
        date: first.starts_at.date_naive(),
        bookings: bookings.to_vec(),
        others: 0,
    };
    let whole = written_as(&Kind::GroupedReminder(day.clone()), &first);
    assert_eq!(whole, mail);
    let digest = written_as(&Kind::Digest(day), &first);
    for part in [&digest.text, &digest.html] {
        assert!(
            !part.contains("/a/") && !part.contains("/bookings/"),
            "{part}"
        );
    }
}

#[test]
fn a_long_day_is_whole_for_gmail() {
    let token = "x".repeat(600);
    let link = format!("https://links.example/a/{token}");
    let bookings: Vec<_> = (1..=20)
        .map(|number| BookingFacts {
            attendance_link: Some(link.clone()),
            ..online(number, "2026-05-04T14:00:00Z")
        })
        .collect();
    let mail = of(&bookings);
    assert_eq!(mail.html.matches("/bookings/").count(), 20);
    assert!(mail.html.len() < 100_000, "{}", mail.html.len());
}

#[test]
fn counts_have_the_plural_forms_of_the_language() {
    for (tag, count, subject) in [
        ("en", 1, "Reminder: 1 booking on Mon, May 4"),
        ("en", 3, "Reminder: 3 bookings on Mon, May 4"),
        ("pl", 1, "Przypomnienie o 1 rezerwacji: pon., 4 maj"),
        ("pl", 2, "Przypomnienie o 2 rezerwacjach: pon., 4 maj"),
        ("pl", 5, "Przypomnienie o 5 rezerwacjach: pon., 4 maj"),
        ("ar", 2, "تذكير: حجزان يوم الاثنين، 4 مايو"),
        ("ar", 3, "تذكير: 3 حجوزات يوم الاثنين، 4 مايو"),
        ("ar", 11, "تذكير: 11 حجزًا يوم الاثنين، 4 مايو"),
        ("ja", 2, "リマインダー：5月4日(月)のご予約（2件）"),
    ] {
        let booking = BookingFacts {
            language: Some(tag.to_owned()),
            ..online(1, "2026-05-04T14:00:00Z")
        };
        assert_eq!(of(&vec![booking; count]).subject, subject, "{tag} {count}");
    }
}

#[test]
fn bookings_that_are_not_listed_are_counted() {
    let first = online(1, "2026-05-04T14:00:00Z");
    let day = |bookings: &[BookingFacts], others| DayFacts {
        date: first.starts_at.date_naive(),
        bookings: bookings.to_vec(),
        others,
    };
    let mail = written_as(
        &Kind::GroupedReminder(day(std::slice::from_ref(&first), 2)),
        &first,
    );
    assert_eq!(mail.subject, "Reminder: 3 bookings on Mon 4 May");
    let more = "2 more bookings are not listed here.";
    assert!(mail.text.contains(more), "{}", mail.text);
    let empty = written_as(&Kind::GroupedReminder(day(&[], 0)), &first);
    assert!(empty.short.contains("first: 10:00"), "{}", empty.short);
}

#[test]
fn owners_word_it_on_its_own() {
    let row = |kind: &str, body: &str| OwnText {
        kind: kind.to_owned(),
        language: "en".to_owned(),
        part: "subject".to_owned(),
        body: Some(body.to_owned()),
    };
    let wording = Wording::of([
        row("reminder", "One: { $service }"),
        row("digest", "Day: { $count }"),
        row("grouped-reminder", "{ $count } on { $day }, { $service }"),
    ]);
    assert_eq!(wording.broken(), []);
    let settings = MessageSettings {
        default_language: Language::matching("en").unwrap(),
        calendar: true,
        public_url: None,
        app_link_base: None,
        link_base_url: None,
        look: Look::default(),
    };
    let bookings = [
        online(1, "2026-05-04T14:00:00Z"),
        online(2, "2026-05-04T16:00:00Z"),
    ];
    let mail = render(&group(&bookings), &bookings[0], &settings, &wording).unwrap();
    assert_eq!(mail.subject, "2 on Mon 4 May, Massage");
    assert_eq!(mail.calendar, None);
}

#[test]
fn people_leave_it_with_reminders() {
    let choices: Vec<_> = KindName::choices().map(KindName::as_str).collect();
    assert_eq!(
        choices.join(" "),
        "reminder confirmed rescheduled cancelled expired follow-up digest"
    );
    assert_eq!(KindName::ALL.len(), choices.len() + 1);
    assert_eq!(KindName::GroupedReminder.choice(), KindName::Reminder);
}
