//! The pages of the mailbox: the list of all messages, and a message's text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::clock::clock;
use crate::mailbox::{Channel, Mail};

const STYLE: &str = include_str!("mailbox.css");

/// The list of messages, the latest first, with a choice of their kinds.
pub fn list(mails: &[Mail]) -> anyhow::Result<String> {
    let known: Vec<_> = mails.iter().filter(|mail| mail.record.is_some()).collect();
    let mut rows = String::new();
    for mail in known.iter().rev() {
        write_row(&mut rows, mail)?;
    }
    let mut counts = BTreeMap::new();
    for mail in &known {
        *counts.entry(mail.label()).or_insert(0) += 1;
    }
    let mut choices = choice("all", known.len(), true);
    let mut rules = String::new();
    for (kind, count) in counts {
        choices += &choice(&kind, count, false);
        writeln!(
            rules,
            "body:has([value=\"{kind}\"]:checked) tbody tr:not([data-kind=\"{kind}\"]) \
             {{ display: none }}"
        )?;
    }
    let body = format!(
        "<h1>Messages of the demo</h1>\n<p>The latest first; the clock is Vienna’s.</p>\n\
         <form aria-label=\"Kind of message\">{choices}</form>\n<table>\n\
         <thead><tr><th>Sent</th><th>To</th><th>Subject</th><th>Language</th><th>Kind</th>\
         <th>Not by</th><th>Also as</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"
    );
    Ok(page("en", "Messages of the demo", &rules, &body))
}

fn write_row(rows: &mut String, mail: &Mail) -> anyhow::Result<()> {
    let Some(record) = &mail.record else {
        return Ok(());
    };
    let (name, kind) = (&mail.name, escaped(&mail.label()));
    let (to, subject) = (escaped(&mail.to), escaped(&mail.subject));
    let (language, at) = (escaped(&mail.language), clock(record.sent_at)?);
    let text = format!("text/{name}.html");
    let (page, also, not_by) = match mail.channel {
        // Most people have no other channel.
        Channel::Email => (
            format!("{name}.html"),
            format!("<a href=\"{text}\">text</a><a href=\"{name}.eml\">.eml</a>"),
            String::new(),
        ),
        Channel::Sms | Channel::Push => {
            let not_by = record.not_by.as_deref().unwrap_or_default();
            (text, String::new(), escaped(not_by))
        }
    };
    writeln!(
        rows,
        "<tr data-kind=\"{kind}\"><td class=\"when\">{at}</td><td>{to}</td>\
         <td class=\"subject\"><a href=\"{page}\" lang=\"{language}\" dir=\"auto\">{subject}\
         </a></td><td>{language}</td><td class=\"kind\"><span>{kind}</span></td>\
         <td class=\"not-by\">{not_by}</td><td class=\"more\">{also}</td></tr>"
    )?;
    Ok(())
}

/// A choice of the messages that are shown.
fn choice(kind: &str, count: usize, is_checked: bool) -> String {
    let (kind, checked) = (escaped(kind), if is_checked { " checked" } else { "" });
    format!(
        "<label><input type=\"radio\" name=\"kind\" value=\"{kind}\"{checked}>{kind} {count}\
         </label>\n"
    )
}

/// The text of a message, as a page: browsers do not agree on the character set of a text file.
pub fn text(mail: &Mail) -> String {
    let body = format!("<pre dir=\"auto\">{}</pre>", escaped(&mail.text));
    page(&escaped(&mail.language), &escaped(&mail.subject), "", &body)
}

fn page(language: &str, title: &str, rules: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{rules}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
