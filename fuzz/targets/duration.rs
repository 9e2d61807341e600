//! Durations. The program accepts what docs/settings.md defines, with the same meaning.

#![no_main]

use std::time::Duration;

use booking_automation::primitives::duration::parse_duration;
use booking_automation::tick::settings::PassSettings;
use booking_automation_fuzz::duration;
use libfuzzer_sys::fuzz_target;

const DAY: u64 = 24 * 60 * 60;

fuzz_target!(|text: &str| {
    let parsed = parse_duration(text);
    assert_eq!(parsed, duration(text, 365));
    if let Some(parsed) = parsed {
        assert_eq!(
            parse_duration(&format!("{}s", parsed.as_secs())),
            Some(parsed)
        );
    }

    let expected = match text.trim() {
        "" => Some(Duration::from_secs(400 * DAY)),
        text => duration(text, 3650).filter(|kept| kept.as_secs() >= 30 * DAY),
    };
    let settings =
        PassSettings::from_environment(&|name| (name == "RETENTION").then(|| text.to_owned()));
    assert_eq!(
        settings.ok().map(|settings| settings.retention.events),
        expected
    );
});
