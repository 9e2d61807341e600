//! The other client of the database: it books, moves, cancels, confirms again, deletes and locks
//! rows, as a role without privileges on our tables, and counts its failed statements.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row};
use uuid::Uuid;

use crate::chaos_mail::{BOUNCES, GONE, UNDELIVERED};

/// What all sessions of the other client share.
#[derive(Default)]
pub struct Shared {
    /// Statements that were made.
    pub statements: AtomicU64,
    /// Statements that failed because of a restart of the server; the session reconnects.
    pub restarted: AtomicU64,
    /// Statements that failed for another reason.
    pub failed: Mutex<Vec<String>>,
    /// The longest statement.
    pub longest: Mutex<Duration>,
    /// Odd while the server is being restarted.
    pub restarts: AtomicU64,
    /// Enough messages wait: no new bookings are made.
    pub enough: AtomicBool,
    /// The end.
    pub stop: AtomicBool,
}

/// The statement failed, because of a restart or otherwise, which is recorded.
struct Gone;

/// One session, with its own people and bookings: sessions do not wait for each other.
struct Session {
    url: String,
    client: Client,
    /// The number of restarts before this connection.
    restarts: u64,
    rng: fastrand::Rng,
    shared: Arc<Shared>,
    people: Vec<Uuid>,
    bookings: Vec<Uuid>,
}

/// For the evaluation: these bookings will be locked.
const LOCKED: &str = "INSERT INTO chaos_locked (booking_id) SELECT unnest($1::uuid[])";
/// People of one session, at a time.
const PEOPLE: usize = 30;
/// Bookings that a session remembers.
const REMEMBERED: usize = 1500;

/// Runs random changes until `stop`.
pub async fn run_session(url: String, provider: Uuid, seed: u64, shared: Arc<Shared>) {
    let (client, restarts) = connect(&url, &shared).await;
    let rng = fastrand::Rng::with_seed(seed);
    let mut session = Session {
        url,
        client,
        restarts,
        rng,
        shared,
        people: Vec::new(),
        bookings: Vec::new(),
    };
    while !session.shared.stop.load(Ordering::SeqCst) {
        // After a restart the session starts another change.
        let _ = session.run_random_change(provider).await;
        let pause = Duration::from_millis(session.rng.u64(0..30));
        tokio::time::sleep(pause).await;
    }
}

/// Connects; returns the number of restarts before.
async fn connect(url: &str, shared: &Shared) -> (Client, u64) {
    loop {
        let restarts = shared.restarts.load(Ordering::SeqCst);
        if restarts.is_multiple_of(2)
            && let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await
        {
            tokio::spawn(connection);
            return (client, restarts);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Session {
    async fn run_random_change(&mut self, provider: Uuid) -> Result<(), Gone> {
        if self.people.len() < PEOPLE {
            return self.create_person().await;
        }
        let enough = self.shared.enough.load(Ordering::SeqCst);
        match self.rng.u32(0..100) {
            0..34 if !enough => self.book_several(provider).await,
            34..44 => {
                let ids = self.some_bookings(8);
                self.execute(
                    "UPDATE bookings SET status = 'confirmed' WHERE id = ANY ($1) AND status = 'pending'",
                    &[&ids],
                )
                .await
            }
            44..60 if !enough => {
                let (ids, start) = (self.some_bookings(2), self.random_start());
                let sql = "UPDATE bookings SET scheduled_at = now() + make_interval(secs => $2) WHERE id = ANY ($1)";
                self.execute(sql, &[&ids, &start]).await
            }
            60..63 if !enough => {
                // Moves many bookings by one second in one statement.
                let ids = self.some_bookings(25);
                self.execute(
                    "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 second' WHERE id = ANY ($1)",
                    &[&ids],
                )
                .await
            }
            63..71 => {
                let ids = self.some_bookings(2);
                self.execute(CANCEL, &[&ids]).await
            }
            71..76 if !enough => {
                let ids = self.some_bookings(6);
                let sql = "UPDATE bookings SET status = 'confirmed', cancelled_at = NULL WHERE id = ANY ($1) AND status = 'cancelled'";
                self.execute(sql, &[&ids]).await
            }
            76..78 => self.choose_reminders().await,
            78..80 => {
                let (ids, blocked) = (self.some_bookings(4), self.rng.bool());
                self.execute(
                    "UPDATE bookings SET auto_complete_blocked = $2 WHERE id = ANY ($1)",
                    &[&ids, &blocked],
                )
                .await
            }
            80..82 => {
                let ids = self.some_bookings(1);
                self.execute("DELETE FROM bookings WHERE id = ANY ($1)", &[&ids])
                    .await
            }
            82 => {
                // Deletes a person with their bookings.
                let at = self.rng.usize(0..self.people.len());
                let person = self.people.swap_remove(at);
                self.execute("DELETE FROM users WHERE id = $1", &[&person])
                    .await
            }
            83..88 => self.lock_bookings().await,
            88..92 => self.change_in_long_transaction().await,
            92..94 => self.cancel_and_confirm_again().await,
            94..96 => {
                // It takes a second, on a slow machine.
                let ids = self.some_bookings(10);
                self.execute(LOCKED, &[&ids]).await?;
                self.execute(
                    "UPDATE bookings SET total_price = 5, payment_intent = 'x', location = repeat('Hall ', 400000) WHERE id = ANY ($1)",
                    &[&ids],
                )
                .await
            }
            96..98 => self.book_in_the_past(provider).await,
            98.. if !enough => self.book_in_repeatable_read(provider).await,
            _ => Ok(()),
        }
    }

    /// A person wants no reminders, or wants them again.
    async fn choose_reminders(&mut self) -> Result<(), Gone> {
        let person = self.people[self.rng.usize(0..self.people.len())];
        let sql = match self.rng.u8(0..3) {
            0 => {
                "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1::uuid::text, 'reminder') ON CONFLICT DO NOTHING"
            }
            _ => "DELETE FROM booking_automation_opt_outs WHERE person_id = $1::uuid::text",
        };
        self.execute(sql, &[&person]).await
    }

    /// A person with an address, a phone and devices, in all combinations. One person of four has no
    /// address, a malformed one, one that bounces, or one that the view often cannot read. One of
    /// twenty has a name of a megabyte.
    async fn create_person(&mut self) -> Result<(), Gone> {
        let name = format!("{}", Uuid::from_u128(self.rng.u128(..)).simple());
        let email = match self.rng.u8(0..40) {
            0 | 1 => None,
            2 => Some("not an address".to_owned()),
            3..8 => Some(format!("{BOUNCES}{name}@customers.example")),
            8 => Some(format!("failing-{name}@customers.example")),
            _ => Some(format!("{name}@customers.example")),
        };
        let sql = "INSERT INTO users (display_name, email, timezone) VALUES (repeat('Customer ', $2), $1, 'Europe/Vienna') RETURNING id";
        let length = if self.rng.u8(0..20) == 0 { 120_000 } else { 1 };
        let rows = self.query(sql, &[&email, &length]).await?;
        let person: Uuid = rows[0].get(0);
        let phone = self.random_phone();
        let agreed = self.rng.u8(0..6) > 0;
        self.execute(PREFER, &[&person, &phone, &agreed]).await?;
        let devices = match self.rng.u8(0..8) {
            0..3 => vec![],
            3 => vec![format!("{GONE}{name}")],
            4 => vec![format!("first-{name}"), format!("second-{name}")],
            5 => vec![format!("{GONE}{name}"), format!("first-{name}")],
            _ => vec![format!("first-{name}")],
        };
        self.execute(BRING, &[&person, &devices]).await?;
        self.execute(REACH, &[&person, &phone, &agreed, &devices])
            .await?;
        self.people.push(person);
        Ok(())
    }

    /// One person of three has none. To one number of four, no SMS arrives.
    fn random_phone(&mut self) -> Option<String> {
        let number = self.rng.u64(0..1_000_000_000);
        match self.rng.u8(0..12) {
            0..4 => None,
            4 | 5 => Some(format!("{UNDELIVERED}{number:09}")),
            _ => Some(format!("+43664{number:09}")),
        }
    }

    /// Seconds until a start. Most reminders become due soon and are not late; some bookings start
    /// soon.
    fn random_start(&mut self) -> f64 {
        let (lead, before, after) = match self.rng.u32(0..100) {
            0..33 => (86_400.0, 20_000.0, 10.0),
            // Due hours later, unless they leave with another one.
            33..38 => (86_400.0, 0.0, 30_000.0),
            38..60 => (3_600.0, 1_000.0, 10.0),
            60..85 => (900.0, 250.0, 10.0),
            85..94 => (40.0, 10.0, 20.0),
            94..98 => (4.0, 2.0, 20.0),
            // Booked late.
            _ => (40_000.0, 10_000.0, 10_000.0),
        };
        lead - before + self.rng.f64() * (before + after)
    }

    async fn book_several(&mut self, provider: Uuid) -> Result<(), Gone> {
        let count = self.rng.usize(1..=8);
        let starts: Vec<f64> = (0..count).map(|_| self.random_start()).collect();
        let status = if self.rng.u8(0..4) == 0 {
            "pending"
        } else {
            "confirmed"
        };
        let person = self.people[self.rng.usize(0..self.people.len())];
        let duration = self.rng.i32(0..=2);
        let rows = self
            .query(BOOK, &[&person, &provider, &status, &starts, &duration])
            .await?;
        self.remember_bookings(&rows);
        Ok(())
    }

    /// Books with a start days ago, or a moment ago.
    async fn book_in_the_past(&mut self, provider: Uuid) -> Result<(), Gone> {
        let start = if self.rng.bool() {
            -86_400.0 * 3.0
        } else {
            -10.0
        } - self.rng.f64() * 600.0;
        let status = ["confirmed", "in_progress", "pending"][self.rng.usize(0..3)];
        let person = self.people[self.rng.usize(0..self.people.len())];
        let rows = self
            .query(BOOK, &[&person, &provider, &status, &vec![start], &1_i32])
            .await?;
        self.remember_bookings(&rows);
        Ok(())
    }

    /// Reads and books in one REPEATABLE READ transaction, concurrently with passes.
    async fn book_in_repeatable_read(&mut self, provider: Uuid) -> Result<(), Gone> {
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ", &[])
            .await?;
        let person = self.people[self.rng.usize(0..self.people.len())];
        self.execute(
            "SELECT count(*) FROM bookings WHERE customer_id = $1",
            &[&person],
        )
        .await?;
        self.sleep_up_to(200).await;
        let start = self.random_start();
        let rows = self
            .query(
                BOOK,
                &[&person, &provider, &"pending", &vec![start], &1_i32],
            )
            .await?;
        let id: Uuid = rows[0].get(0);
        self.execute(
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            &[&id],
        )
        .await?;
        self.execute("COMMIT", &[]).await?;
        self.bookings.push(id);
        Ok(())
    }

    async fn lock_bookings(&mut self) -> Result<(), Gone> {
        let ids = self.some_bookings(12);
        self.execute(LOCKED, &[&ids]).await?;
        self.execute("BEGIN", &[]).await?;
        self.execute(
            "SELECT FROM bookings WHERE id = ANY ($1) FOR UPDATE",
            &[&ids],
        )
        .await?;
        self.sleep_up_to(700).await;
        let end = if self.rng.bool() {
            "COMMIT"
        } else {
            "ROLLBACK"
        };
        self.execute(end, &[]).await
    }

    /// Makes a change in a long transaction.
    async fn change_in_long_transaction(&mut self) -> Result<(), Gone> {
        let (ids, start) = (self.some_bookings(2), self.random_start());
        self.execute(LOCKED, &[&ids]).await?;
        self.execute("BEGIN", &[]).await?;
        if self.rng.bool() {
            self.execute(CANCEL, &[&ids]).await?;
        } else {
            let sql = "UPDATE bookings SET scheduled_at = now() + make_interval(secs => $2) WHERE id = ANY ($1)";
            self.execute(sql, &[&ids, &start]).await?;
        }
        self.sleep_up_to(500).await;
        let end = if self.rng.u8(0..4) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        self.execute(end, &[]).await
    }

    async fn cancel_and_confirm_again(&mut self) -> Result<(), Gone> {
        let ids = self.some_bookings(2);
        self.execute("BEGIN", &[]).await?;
        self.execute(CANCEL, &[&ids]).await?;
        self.execute("SAVEPOINT mind", &[]).await?;
        self.execute(
            "UPDATE bookings SET status = 'confirmed', cancelled_at = NULL WHERE id = ANY ($1)",
            &[&ids],
        )
        .await?;
        if self.rng.bool() {
            self.execute("ROLLBACK TO mind", &[]).await?;
        }
        self.execute("COMMIT", &[]).await
    }

    fn remember_bookings(&mut self, rows: &[Row]) {
        for row in rows {
            if self.bookings.len() < REMEMBERED {
                self.bookings.push(row.get(0));
            } else {
                let at = self.rng.usize(0..REMEMBERED);
                self.bookings[at] = row.get(0);
            }
        }
    }

    /// Some of the remembered bookings.
    fn some_bookings(&mut self, most: usize) -> Vec<Uuid> {
        let count = if self.bookings.is_empty() {
            0
        } else {
            self.rng.usize(1..=most)
        };
        (0..count)
            .map(|_| self.bookings[self.rng.usize(0..self.bookings.len())])
            .collect()
    }

    async fn sleep_up_to(&mut self, longest: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(20..longest))).await;
    }

    async fn execute(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<(), Gone> {
        self.query(sql, parameters).await.map(|_| ())
    }

    async fn query(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Gone> {
        let began = Instant::now();
        self.shared.statements.fetch_add(1, Ordering::SeqCst);
        let result = self.client.query(sql, parameters).await;
        let error = match result {
            Ok(rows) => {
                let mut longest = self.shared.longest.lock().unwrap();
                *longest = began.elapsed().max(*longest);
                return Ok(rows);
            }
            Err(error) => error,
        };
        if self.shared.restarts.load(Ordering::SeqCst) != self.restarts && is_restart_error(&error)
        {
            self.shared.restarted.fetch_add(1, Ordering::SeqCst);
        } else {
            self.shared
                .failed
                .lock()
                .unwrap()
                .push(format!("{sql}: {error:?}"));
        }
        // The transaction is lost; reconnect.
        (self.client, self.restarts) = connect(&self.url, &self.shared).await;
        Err(Gone)
    }
}

/// Whether the connection broke or the server is shutting down.
fn is_restart_error(error: &Error) -> bool {
    error
        .code()
        .is_none_or(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
}

const CANCEL: &str = "UPDATE bookings SET status = 'cancelled', cancelled_at = now() WHERE id = ANY ($1) AND status IN ('pending', 'confirmed')";
/// A person's phone, and whether they agreed to get SMS.
const PREFER: &str = "INSERT INTO booking_automation_preferences (person_id, phone, sms_allowed) VALUES ($1::uuid::text, $2, $3)";
/// A person's devices.
const BRING: &str = "INSERT INTO booking_automation_push_tokens (person_id, token) SELECT $1::uuid::text, unnest($2::text[])";
/// For the evaluation.
const REACH: &str = "INSERT INTO chaos_reach (person_id, phone, agreed, devices) VALUES ($1::uuid::text, $2, $3, $4)";
const BOOK: &str = "
    INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, location)
    SELECT $1, $2, '00000000-0000-0000-0000-00000000000e', $3, now() + make_interval(secs => start), $5, 'Ringstraße 1, Wien'
      FROM unnest($4::float8[]) AS start RETURNING id";
