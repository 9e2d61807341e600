//! Addresses and senders. An accepted text is one mailbox for another parser, contains no line break and is accepted again.

#![no_main]

use booking_automation::channels::email::sender::Sender;
use booking_automation::primitives::email_address::Address;
use libfuzzer_sys::fuzz_target;
use mailparse::{MailAddr, SingleInfo, addrparse_header, parse_header};

fuzz_target!(|text: &str| {
    if let Ok(address) = Address::parse(text) {
        let said = address.as_str();
        check(&address);
        let given = text.trim_ascii();
        assert!(said == given || !given.is_ascii() || said.starts_with('"'));
        assert_eq!(Address::parse(said), Ok(address.clone()));
        let sender = Sender::parse(said).expect("an address is a sender");
        assert_eq!(sender.address(), &address);
        assert_eq!(sender.header(), said);
    }
    if let Some(sender) = Sender::parse(text) {
        check(sender.address());
        let header = sender.header();
        assert!(
            header.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{header:?}"
        );
        // That parser does not support quoted local parts.
        if sender.address().as_str().starts_with('"') {
            return;
        }
        let mailbox = one_mailbox(&header);
        assert_eq!(mailbox.addr, sender.address().as_str());
        assert_eq!(
            mailbox.display_name.map(plain),
            name(text).map(plain),
            "{header:?}"
        );
    }
});

/// The characters with a meaning in a header (RFC 5322, 3.2.3).
const SPECIAL: [char; 13] = [
    ' ', ',', ';', ':', '<', '>', '(', ')', '[', ']', '@', '"', '\\',
];

/// Whether the text can be used unchanged in a header and in a command to a mail server.
fn check(address: &Address) {
    let said = address.as_str();
    assert!(
        said.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{said:?}"
    );
    let (local, domain) = said.rsplit_once('@').expect("an address has an @");
    assert!(
        (1..=64).contains(&local.len()) && (3..=255).contains(&domain.len()),
        "{said:?}"
    );
    assert!(
        domain.contains('.') && !domain.contains(SPECIAL),
        "{said:?}"
    );
    if !local.starts_with('"') {
        assert!(!local.contains(SPECIAL), "{said:?}");
        assert_eq!(one_mailbox(said).addr, said);
    }
}

/// The `From` header as another parser reads it.
fn one_mailbox(value: &str) -> SingleInfo {
    let line = format!("From: {value}\r\n");
    let (header, _) = parse_header(line.as_bytes()).expect("a header");
    let mailboxes = addrparse_header(&header).unwrap_or_else(|error| panic!("{error}: {value:?}"));
    match &mailboxes[..] {
        [MailAddr::Single(mailbox)] => mailbox.clone(),
        other => panic!("{value:?} is {other:?}"),
    }
}

/// The name of `Name <address>` or `"Name" <address>`.
fn name(text: &str) -> Option<String> {
    let (name, _) = text.trim().strip_suffix('>')?.rsplit_once('<')?;
    Some(name.trim().trim_matches('"').trim().to_owned()).filter(|name| !name.is_empty())
}

/// A name with normalized spaces, since parsers treat them differently.
fn plain(name: String) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}
