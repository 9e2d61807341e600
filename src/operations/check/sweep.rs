//! How long the sweep takes to examine all confirmed bookings within the longest lead.

use std::time::{Duration, Instant};

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};
use crate::reminders::sweep::{SWEEP_TIME, read_sample};

/// The last step that the sweep requires.
pub(crate) const KNOWS_LIVENESS: &str = "24_people";

/// Calls in an hour.
const CALLS_IN_AN_HOUR: u128 = 60;

/// Says how many calls a round takes, by the time that a sample of the bookings takes.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT count(*) AS bookings FROM public.bookings
                WHERE status = 'confirmed' AND scheduled_at > now()
                  AND scheduled_at <= now() + (SELECT max(lead) FROM public.reminder_rules)";
    let bookings: i64 = transaction.query_one(sql, &[]).await?.get("bookings");
    let begun = Instant::now();
    let sample = read_sample(transaction, Liveness::Known).await?;
    let calls = calls_of_a_round(bookings.unsigned_abs().into(), sample, begun.elapsed());
    let text = format!(
        "the sweep, which looks at every confirmed booking within the longest lead, takes {} for \
         {bookings} bookings",
        match calls {
            1 => "one call".to_owned(),
            calls => format!("about {calls} calls"),
        }
    );
    Ok(vec![match calls <= CALLS_IN_AN_HOUR {
        true => Finding::ok(Topic::Sweep, text),
        false => Finding::warning(
            Topic::Sweep,
            text,
            "what is written past the triggers is found later than within the hour",
        ),
    }])
}

/// The calls that a round over so many bookings takes, where a sample took this time.
fn calls_of_a_round(bookings: u128, sample: usize, took: Duration) -> u128 {
    let sample = (sample as u128).max(1);
    let time = took.as_micros() * bookings.max(1) / sample;
    time.div_ceil(SWEEP_TIME.as_micros()).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::calls_of_a_round;

    #[test]
    fn a_round_takes_the_time_of_its_bookings_in_calls() {
        let took = Duration::from_millis(10);
        for (bookings, sample, calls) in [
            (0, 0, 1),
            (900, 900, 1),
            (20_000, 1_000, 1),
            (20_001, 1_000, 2),
            (1_000_000, 1_000, 50),
        ] {
            assert_eq!(
                calls_of_a_round(bookings, sample, took),
                calls,
                "{bookings}"
            );
        }
    }
}
