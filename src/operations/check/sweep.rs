//! How long the sweep takes to examine all confirmed bookings within the longest lead.

use std::time::{Duration, Instant};

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};
use crate::reminders::sweep::{PART_TIME, look_at_sample};

/// The last step that the sweep requires.
pub(crate) const KNOWS_LIVENESS: &str = "24_people";

/// Bookings of the sample whose time is measured.
const SAMPLE: i64 = 5_000;
/// Calls in an hour.
const CALLS_IN_AN_HOUR: f64 = 60.0;

/// Says how many calls a round takes, by the time that a sample of the bookings takes.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT count(*) AS bookings FROM public.bookings
                WHERE status = 'confirmed' AND scheduled_at > now()
                  AND scheduled_at <= now() + (SELECT max(lead) FROM public.reminder_rules)";
    let bookings: i64 = transaction.query_one(sql, &[]).await?.get("bookings");
    // The first time, pages are read from disk.
    time_of_sample(transaction, SAMPLE).await?;
    let (_, one) = time_of_sample(transaction, 1).await?;
    let (sample, took) = time_of_sample(transaction, SAMPLE).await?;
    Ok(vec![finding(
        bookings,
        calls_of_a_round(bookings, one, sample, took),
    )])
}

async fn time_of_sample(transaction: &Transaction, most: i64) -> Result<(i64, Duration)> {
    let begun = Instant::now();
    let sample = look_at_sample(transaction, Liveness::Known, most).await?;
    Ok((sample, begun.elapsed()))
}

fn finding(bookings: i64, calls: f64) -> Finding {
    let text = format!(
        "the sweep, which looks at every confirmed booking within the longest lead, takes {} for \
         {bookings} bookings",
        match calls {
            ..=1.0 => "one call".to_owned(),
            calls => format!("about {calls} calls"),
        }
    );
    match calls <= CALLS_IN_AN_HOUR {
        true => Finding::ok(Topic::Sweep, text),
        false => Finding::warning(
            Topic::Sweep,
            text,
            "what is written past the triggers is found later than within the hour",
        ),
    }
}

/// The calls that a round over so many bookings takes. A call has one part: the time of `one`
/// booking is that of any part, and a sample took more for the others.
fn calls_of_a_round(bookings: i64, one: Duration, sample: i64, took: Duration) -> f64 {
    let each = took.saturating_sub(one).as_secs_f64() / (sample - 1).max(1) as f64;
    let time = (PART_TIME.as_secs_f64() - one.as_secs_f64()).max(0.001);
    (bookings as f64 * each / time).ceil().max(1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{calls_of_a_round, finding};
    use crate::operations::check::finding::Level;

    #[test]
    fn a_round_takes_the_time_of_its_bookings_in_calls() {
        let milliseconds = Duration::from_millis;
        for (bookings, sample, calls) in [
            (0, 0, 1.0),
            (900, 900, 1.0),
            (16_000, 1_001, 1.0),
            (16_001, 1_001, 2.0),
            (1_000_000, 1_001, 63.0),
        ] {
            // Ten milliseconds for a thousand, besides ten for any part.
            let found = calls_of_a_round(bookings, milliseconds(10), sample, milliseconds(20));
            assert_eq!(found, calls, "{bookings}");
        }
    }

    #[test]
    fn a_round_of_more_than_an_hour_is_a_warning() {
        assert_eq!(finding(1_000_000, 60.0).level, Level::Ok);
        let late = finding(1_000_000, 61.0);
        assert_eq!(late.level, Level::Warning);
        assert!(late.text.contains("about 61 calls for 1000000"), "{late:?}");
    }
}
