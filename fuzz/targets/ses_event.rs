//! SES events. What the program reads is in the event, PostgreSQL accepts it, and it contains only addresses to be suppressed.

#![no_main]

use booking_automation::delivery::feedback::Feedback;
use booking_automation::delivery::ses_events::parse;
use booking_automation_fuzz::json;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;
use uuid::Uuid;

/// SES's name, our name, and the field with the details.
const KINDS: [(&str, &str, &str); 8] = [
    ("Send", "sent", "/detail/send"),
    ("Delivery", "delivered", "/detail/delivery"),
    ("Bounce", "bounced", "/detail/bounce"),
    ("Complaint", "complained", "/detail/complaint"),
    ("Reject", "rejected", "/detail/reject"),
    ("DeliveryDelay", "delayed", "/detail/deliveryDelay"),
    ("Rendering Failure", "rendering_failed", "/detail/failure"),
    ("RenderingFailure", "rendering_failed", "/detail/failure"),
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let text = |pointer| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let known = KINDS
        .iter()
        .find(|(name, ..)| *name == text("/detail/eventType"));
    let tag = text("/detail/mail/tags/event_id/0").replace('\0', "");
    let tag = tag.parse::<Uuid>().ok().filter(|_| tag.len() <= 500);
    let Feedback {
        event_id,
        message_id,
        kind,
        occurred_at,
        details,
        suppress,
        bounced_softly,
        is_bad_number,
        is_lost: _,
    } = match parse(&event) {
        Ok(Some(feedback)) => feedback,
        Ok(None) => {
            let named = text("/detail/eventType").trim_matches('\0');
            assert!(!named.is_empty(), "an event without a type was passed over");
            assert!(
                known.is_none() || tag.is_none(),
                "an event of ours was passed over"
            );
            return;
        }
        Err(malformed) => {
            assert!(
                malformed
                    .to_string()
                    .starts_with("the SES event has no detail.")
            );
            return;
        }
    };

    let named = text("/detail/eventType").replace('\0', "");
    let Some((_, expected, pointer)) = KINDS.iter().find(|(name, ..)| *name == named) else {
        panic!("{named:?}")
    };
    assert_eq!((kind, Some(event_id)), (*expected, tag));
    kept(&message_id);
    assert!(!message_id.is_empty());
    // The range of PostgreSQL's timestamps.
    assert!((-4713..294_276).contains(&chrono::Datelike::year(&occurred_at)));
    every_text(&details, &mut |text| {
        kept(text);
        assert!(!text.contains('@'), "an address is kept: {text:?}");
    });

    assert!(!is_bad_number, "a mail has no number");

    let said = event.pointer(pointer).unwrap_or(&Value::Null);
    let recipients = match kind {
        "bounced" if said["bounceType"] == "Permanent" => &said["bouncedRecipients"],
        "complained" if said["complaintFeedbackType"] != "not-spam" => {
            &said["complainedRecipients"]
        }
        _ => &Value::Null,
    };
    let addresses: Vec<&str> = recipients
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["emailAddress"].as_str())
        .collect();
    let is_transient = kind == "bounced" && said["bounceType"] == "Transient";
    assert!(bounced_softly.is_none() || is_transient && suppress.is_empty());
    for address in suppress {
        kept(&address);
        assert!(!address.is_empty(), "nobody is suppressed");
        assert!(
            addresses
                .iter()
                .any(|told| told.replace('\0', "").contains(&address)),
            "{address:?} was never told"
        );
    }
});

/// Limited to the stored length, and without the character that PostgreSQL does not accept.
fn kept(text: &str) {
    assert!(!text.contains('\0'), "PostgreSQL does not take {text:?}");
    assert!(text.chars().count() <= 500);
}

fn every_text(value: &Value, check: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().for_each(|item| every_text(item, check)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            check(name);
            every_text(value, check);
        }),
        _ => {}
    }
}
