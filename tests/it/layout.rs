//! The layout of mails in HTML, as validators and the data about mail readers judge it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use booking_automation::messages::facts::BookingFacts;
use booking_automation::messages::languages::Language;
use booking_automation::messages::settings::MessageSettings;
use booking_automation::messages::wording::Wording;
use booking_automation::messages::{Message, render};
use serde_json::{Value, json};

use crate::app::skipped;
use crate::kinds::{about, all_kinds, booking};
use crate::others::find;

fn settings() -> MessageSettings {
    let lookup = |name: &str| {
        let value = match name {
            "PUBLIC_URL" => "https://studio.example",
            "MAIL_LOGO_URL" => "https://studio.example/logo.png",
            "MAIL_COLOR" => "#0f766e",
            "MAIL_SIGNATURE" => "Studio Nord\\nRingstraße 1, Wien",
            _ => return None,
        };
        Some(value.to_owned())
    };
    MessageSettings::from_environment(&lookup).unwrap()
}

/// Each kind, in a language from left to right and one from right to left, with harmless and with hostile names, at a place and
/// online.
fn mails() -> Vec<(String, Message)> {
    const LINKS: &str = "https://evil.example/x www.evil.example evil.example. a@evil.example EVIL.COM ftp://evil.example";
    let mut mails = Vec::new();
    for tag in ["en", "ar"] {
        for kind in all_kinds() {
            for text in [None, Some(LINKS), Some("<b>\"A\" & 'B'</b>")] {
                for is_online in [false, true] {
                    let name = |known: &Option<String>| text.map(str::to_owned).or(known.clone());
                    let facts = booking(tag, "provider");
                    let facts = BookingFacts {
                        name: name(&facts.name),
                        service: name(&facts.service),
                        with_name: name(&facts.with_name),
                        place: name(&facts.place),
                        is_online,
                        attendance_link: is_online
                            .then(|| "https://studio.example/a/token".to_owned()),
                        preferences_link: Some("https://studio.example/p/token".to_owned()),
                        meeting_link: Some("https://studio.example/join?a=1&b=2".to_owned()),
                        ..facts
                    };
                    let kind = about(&kind, &facts);
                    let name = format!("{tag} {kind:?} {text:?} {is_online}");
                    mails.push((
                        name,
                        render(&kind, &facts, &settings(), &Wording::default()).unwrap(),
                    ));
                }
            }
        }
    }
    mails
}

#[test]
fn validators_and_the_data_about_mail_readers_find_nothing() {
    let judges = concat!(env!("CARGO_MANIFEST_DIR"), "/target/judges-node");
    let Some(node) = find("node", &[]).filter(|_| Path::new(judges).join("node_modules").exists())
    else {
        skipped("html-validate, caniemail and linkify-it are not installed (make judges)");
        return;
    };
    let mails: Vec<_> = mails()
        .into_iter()
        .map(|(name, mail)| json!({"name": name, "html": mail.html, "text": mail.text}))
        .collect();
    let mut child = Command::new(node)
        .args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mails.mjs"),
            judges,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = Value::from(mails).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(given.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let problems = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && problems.is_empty(), "{problems}");
}

#[test]
fn nothing_but_the_logo_is_loaded_and_each_link_leads_to_the_owner() {
    for (name, mail) in mails() {
        let loads: Vec<_> = mail
            .html
            .match_indices("src=\"")
            .chain(mail.html.match_indices("url("))
            .collect();
        assert_eq!(loads.len(), 1, "{name}: {}", mail.html);
        assert!(
            !mail.html.contains("@import") && !mail.html.contains("<link"),
            "{name}"
        );
        for target in mail.html.split("href=\"").skip(1) {
            assert!(
                target.starts_with("https://studio.example/"),
                "{name}: {target}"
            );
        }
        assert!(
            mail.html.len() < 20_000,
            "Gmail cuts a mail of 100 kB: {name}"
        );
    }
}

/// A text of HTML without its escapes.
fn decoded(html: &str) -> String {
    [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ]
    .into_iter()
    .fold(html.to_owned(), |text, (code, letter)| {
        text.replace(code, letter)
    })
}

/// The texts of a mail's HTML, each on a line of its own. A logo has none.
fn shown(html: &str) -> String {
    let (_, body) = html.split_once("</head>").unwrap();
    let mut shown = String::new();
    for part in body.split('<') {
        shown.push('\n');
        shown += part.split_once('>').map_or("", |(_, text)| text);
    }
    decoded(&shown)
}

#[test]
fn text_and_html_have_the_same_facts() {
    for (name, mail) in mails() {
        let shown = shown(&mail.html);
        for line in mail.text.lines() {
            // The HTML has labels in a column of their own, and links behind their text.
            let (label, value) = line.split_once(": ").unwrap_or(("", line));
            let has_both = shown.contains(label)
                && (shown.contains(value)
                    || mail
                        .html
                        .contains(&format!("href=\"{}\"", value.replace('&', "&#38;"))));
            assert!(shown.contains(line) || has_both, "{name}: {line}\n{shown}");
        }
        // What lists of mails show beside the subject is the time and the place.
        let facts = shown.lines().flat_map(|line| line.split(" · "));
        for fact in facts.map(str::trim).filter(|fact| !fact.is_empty()) {
            assert!(mail.text.contains(fact), "{name}: {fact}\n{}", mail.text);
        }
        let links: Vec<_> = mail.html.split("href=\"").skip(1).collect();
        assert!(!links.is_empty(), "{name}");
        for link in links {
            let (target, rest) = link.split_once('"').unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            let (label, _) = rest.split_once('<').unwrap();
            let (label, target) = (decoded(label), decoded(target));
            let has_both = |line: &str| line.starts_with(&label) && line.ends_with(&target);
            assert!(
                mail.text.lines().any(has_both),
                "{name}: {label} {target}\n{}",
                mail.text
            );
        }
    }
}

/// Writes mails as files, for `docs/pictures`.
#[test]
fn mails_of_the_pictures_are_written() {
    let Ok(folder) = std::env::var("MAILS_FOR_PICTURES") else {
        return;
    };
    fs::create_dir_all(&folder).unwrap();
    for kind in all_kinds() {
        for tag in Language::all().map(Language::tag) {
            let mail = render(
                &kind,
                &booking(tag, "provider"),
                &settings(),
                &Wording::default(),
            )
            .unwrap();
            let name = format!("{kind:?}")
                .split([' ', '{'])
                .next()
                .unwrap()
                .to_lowercase();
            fs::write(
                Path::new(&folder).join(format!("{name}-{tag}.html")),
                mail.html,
            )
            .unwrap();
        }
    }
}
