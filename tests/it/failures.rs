//! Database failures: failover, terminated sessions, a full disk, lost answers. After each of them
//! the next call works, nothing is lost, and every repeated mail has a recorded doubt.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::{App, CommandOutput, connect, hours, minutes, noon};
use crate::cluster::OwnCluster;
use crate::delivery::{create_due_bookings, reminder_outcomes};
use crate::endpoint::Endpoint;
use crate::lambda::example_event;
use crate::proxy::{Cut, Proxy, start_pooler};
use crate::runtime_api::Instance;
use crate::ses::Answer;
use crate::webhooks::subscribe;

/// Calls `run` at noon, for so long.
async fn run_at_noon(app: &App, time: &str) -> CommandOutput {
    app.call(&["run", "--for", time, "--as-of", &noon().to_rfc3339()])
        .await
}

/// Answers the first `count` messages at once, and the others when the test releases them.
fn hold_answers_after(app: &App, count: usize) -> watch::Sender<bool> {
    let (sender, receiver) = watch::channel(false);
    let arrived = AtomicUsize::new(0);
    app.ses.answer(move |_| {
        if arrived.fetch_add(1, Ordering::SeqCst) < count {
            Answer::Sent
        } else {
            Answer::Held(receiver.clone(), Box::new(Answer::Sent))
        }
    });
    sender
}

/// Asserts that `count` reminders were sent and recorded with all attempts, and that every repeated
/// mail has a recorded doubt. Returns how many reminders were sent more than once.
async fn count_repeated(app: &App, count: usize) -> usize {
    let mut sent = BTreeMap::new();
    for mail in app.ses.mails() {
        *sent.entry(mail.event_id().to_owned()).or_insert(0) += 1;
    }
    let sql =
        "SELECT id::text || ' ' || (SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS attempt
                                           WHERE attempt ->> 'outcome' = 'unknown')
                 FROM booking_automation_events WHERE event_type = 'reminder_sent' AND status = 'completed'";
    let completed = app.column(sql, &[]).await;
    assert_eq!((completed.len(), sent.len()), (count, count));
    for event in completed {
        let (id, doubts) = event.split_once(' ').unwrap();
        assert!(
            sent[id] <= 1 + doubts.parse::<i32>().unwrap(),
            "{id} was sent {} times: {doubts} doubts",
            sent[id]
        );
    }
    let sql = "SELECT id::text FROM booking_automation_events
                WHERE status IN ('pending', 'sending') OR jsonb_array_length(event_data -> 'attempts') <> attempts";
    assert_eq!(app.column(sql, &[]).await, Vec::<String>::new());
    sent.values().filter(|times| **times > 1).count()
}

/// The outcomes of the runs, in order.
async fn run_outcomes(app: &App) -> Vec<String> {
    app.column(
        "SELECT outcome FROM automation_runs ORDER BY created_at",
        &[],
    )
    .await
}

/// Terminates the program's session.
async fn terminate_sessions(app: &App) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'booking-automation'";
    let ended = app.db.query(sql, &[]).await.unwrap();
    assert_eq!(ended.len(), 1, "the program has one session");
}

/// A primary, its synchronous standby, and a program with the addresses of both.
async fn primary_and_standby() -> Option<(OwnCluster, OwnCluster, App)> {
    let primary = OwnCluster::start().await?;
    let standby = primary.synchronous_standby().await;
    let mut app = App::migrate_and_open(&url_of_both(primary.port, &standby)).await;
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    Some((primary, standby, app))
}

/// A URL with both servers, of which the one that takes writes is used.
fn url_of_both(port: u16, standby: &OwnCluster) -> String {
    format!(
        "postgres://postgres@127.0.0.1:{port},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        standby.port
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_within_a_call_loses_no_outcome() {
    let Some((primary, standby, mut app)) = primary_and_standby().await else {
        return;
    };
    create_due_bookings(&app, 20).await;
    let release = hold_answers_after(&app, 0);
    let fail_over = async {
        // Four are in flight. The other four of the page follow when the primary has gone.
        app.ses.wait_for_mails(4).await;
        primary.crash();
        release.send(true).unwrap();
        standby.promote();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "50s"), fail_over);
    let summary = said.summary();
    assert_eq!(
        (
            &summary["reminders"]["sent"],
            &summary["backlog"]["pending"]
        ),
        (&json!(20), &json!(0)),
        "{summary}"
    );
    app.db = connect(&app.url).await;
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 20"]);
    assert_eq!(count_repeated(&app, 20).await, 0);
    assert_eq!(run_outcomes(&app).await, ["completed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_longer_than_the_call_repeats_only_unrecorded_messages() {
    let Some((primary, standby, mut app)) = primary_and_standby().await else {
        return;
    };
    let moved = app.confirmed(noon()).await;
    create_due_bookings(&app, 20).await;
    let release = hold_answers_after(&app, 0);
    let failure = async {
        app.ses.wait_for_mails(4).await;
        primary.crash();
        release.send(true).unwrap();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "6s"), failure);
    assert_eq!(
        said.stderr
            .matches("sent, but the outcome could not be recorded")
            .count(),
        8,
        "{}",
        said.stderr
    );
    assert_eq!(
        said.summary()["reminders"]["sent"],
        8,
        "the summary counts what was sent"
    );
    // No server takes writes: the call reports it and does nothing.
    let meanwhile = run_at_noon(&app, "5s").await;
    assert!(!meanwhile.success && meanwhile.stdout.is_empty());
    assert!(
        meanwhile.stderr.contains("the database cannot be reached"),
        "{}",
        meanwhile.stderr
    );

    standby.promote();
    app.db = connect(&app.url).await;
    // The committed changes are on the standby.
    assert_eq!(app.status(moved).await, "in_progress");
    assert_eq!(
        reminder_outcomes(&app).await,
        ["pending 0 12", "sending 1 8"]
    );
    app.ses.answer(|_| Answer::Sent);
    assert_eq!(
        run_at_noon(&app, "50s").await.summary()["reminders"]["sent"],
        12
    );
    assert_eq!(
        app.ses.mails().len(),
        20,
        "messages under a lease are not claimed"
    );
    app.make_claimable().await;
    assert_eq!(
        run_at_noon(&app, "50s").await.summary()["reminders"]["sent"],
        8
    );
    assert_eq!(count_repeated(&app, 20).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_sent_before_its_claim_is_on_the_standby() {
    let Some((primary, standby, mut app)) = primary_and_standby().await else {
        return;
    };
    create_due_bookings(&app, 20).await;
    // The database is set not to wait for the standby; a claim waits for it.
    app.db
        .batch_execute("ALTER SYSTEM SET synchronous_commit = local")
        .await
        .unwrap();
    app.db
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    app.wait_until("SELECT current_setting('synchronous_commit') = 'local'")
        .await;
    let release = hold_answers_after(&app, 0);
    let failure = async {
        app.ses.wait_for_mails(4).await;
        standby.crash();
        release.send(true).unwrap();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "6s"), failure);
    assert_eq!(
        said.summary()["reminders"]["sent"],
        8,
        "the summary counts what was sent"
    );
    assert_eq!(
        app.ses.mails().len(),
        8,
        "no message is sent without the standby"
    );

    primary.crash();
    standby.start_server();
    standby.promote();
    app.db = connect(&app.url).await;
    assert_eq!(
        reminder_outcomes(&app).await,
        ["pending 0 12", "sending 1 8"]
    );
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    assert_eq!(
        run_at_noon(&app, "50s").await.summary()["reminders"]["sent"],
        20
    );
    assert_eq!(count_repeated(&app, 20).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_function_follows_failovers_within_and_between_invocations() {
    let Some((primary, standby, mut app)) = primary_and_standby().await else {
        return;
    };
    let instance = Instance::start(&app).await;
    app.booking_due_now().await;
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["reminders"]["sent"],
        1
    );
    for _ in 0..8 {
        app.booking_due_now().await;
    }
    let release = hold_answers_after(&app, 4);
    let schedule = example_event("schedule");
    let fail_over = async {
        app.ses.wait_for_mails(1 + 8).await;
        primary.crash();
        release.send(true).unwrap();
        standby.promote();
    };
    let (summary, ()) = tokio::join!(instance.invoke(&schedule), fail_over);
    assert_eq!(summary.unwrap()["reminders"]["sent"], 8);
    app.db = connect(&app.url).await;
    app.ses.answer(|_| Answer::Sent);
    app.booking_due_now().await;
    assert_eq!(
        instance.invoke(&schedule).await.unwrap()["reminders"]["sent"],
        1
    );
    assert_eq!(count_repeated(&app, 10).await, 0);

    // The same without messages in flight: the function has only its old connection.
    drop(primary);
    let third = standby.synchronous_standby().await;
    app.db = connect(&standby.url).await;
    app.env
        .insert("DATABASE_URL", url_of_both(standby.port, &third));
    let instance = Instance::start(&app).await;
    assert_eq!(
        instance.invoke(&schedule).await.unwrap()["outcome"],
        "completed"
    );
    app.booking_due_now().await;
    standby.crash();
    third.promote();
    assert_eq!(
        instance.invoke(&schedule).await.unwrap()["reminders"]["sent"],
        1
    );
    app.db = connect(&third.url).await;
    assert_eq!(count_repeated(&app, 11).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_a_demoted_server_is_replaced_within_the_call() {
    let Some((primary, standby, mut app)) = primary_and_standby().await else {
        return;
    };
    // Behind a pooler the server changes while the connection stays open.
    let address = start_pooler(&format!("127.0.0.1:{}", primary.port)).await;
    app.env.insert(
        "DATABASE_URL",
        url_of_both(address.port(), &standby) + "&sslmode=disable",
    );
    let instance = Instance::start(&app).await;
    app.booking_due_now().await;
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["reminders"]["sent"],
        1
    );
    app.booking_due_now().await;

    primary.stop();
    standby.promote();
    primary.start_server_as_standby();
    let old = connect(&primary.url).await;
    let error = old.batch_execute("BEGIN READ WRITE").await.unwrap_err();
    assert_eq!(
        error.code().unwrap().code(),
        "0A000",
        "the server is read-only"
    );
    let summary = instance.invoke(&example_event("schedule")).await.unwrap();
    assert_eq!(
        (&summary["outcome"], &summary["reminders"]["sent"]),
        (&json!("completed"), &json!(1)),
        "{summary}"
    );
    app.db = connect(&standby.url).await;
    assert_eq!(count_repeated(&app, 2).await, 0);
    assert_eq!(run_outcomes(&app).await, ["completed", "completed"]);

    // Without another host the call fails at once.
    app.env.insert("DATABASE_URL", primary.url.clone());
    let said = app.call(&["run"]).await;
    assert!(
        !said.success && said.stderr.contains("the pass failed: SQLSTATE 0A000"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_hanging_host_does_not_block_the_next_host() {
    let mut app = App::new().await;
    create_due_bookings(&app, 1).await;
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hosts = format!("@{},127.0.0.1:", hanging.local_addr().unwrap());
    app.env
        .insert("DATABASE_URL", app.url.replace("@127.0.0.1:", &hosts));
    assert_eq!(
        run_at_noon(&app, "50s").await.summary()["reminders"]["sent"],
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restart_with_messages_in_flight_loses_no_outcome() {
    let Some(own) = OwnCluster::start().await else {
        return;
    };
    let mut app = App::migrate_and_open(&own.url).await;
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    create_due_bookings(&app, 20).await;
    let release = hold_answers_after(&app, 4);
    let restart = async {
        app.ses.wait_for_mails(8).await;
        own.restart();
        release.send(true).unwrap();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "50s"), restart);
    assert_eq!(said.summary()["reminders"]["sent"], 20);
    app.db = connect(&own.url).await;
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 20"]);
    assert_eq!(count_repeated(&app, 20).await, 0);
}

#[tokio::test]
async fn a_connection_lost_at_begin_is_replaced_within_the_call() {
    // The transactions of the pass, the mark, the claim and the record.
    for begin in [1, 2, 3, 4] {
        let mut app = App::new().await;
        create_due_bookings(&app, 1).await;
        let proxy = Proxy::start_cutting_at(&app.url, Cut::Begin, begin).await;
        app.env.insert("DATABASE_URL", proxy.url.clone());
        let said = run_at_noon(&app, "50s").await;
        assert!(
            proxy.was_cut() && !said.stderr.contains("trying again"),
            "{begin}: {}",
            said.stderr
        );
        assert_eq!(said.summary()["reminders"]["sent"], 1, "{begin}");
        assert_eq!(run_outcomes(&app).await, ["completed"], "{begin}");
        assert_eq!(count_repeated(&app, 1).await, 0, "{begin}");
    }
}

#[tokio::test]
async fn the_call_ends_in_time_wherever_the_database_stops_answering() {
    let endpoint = Endpoint::start().await;
    let silent_at = async |number: u64| {
        let mut app = App::new().await;
        app.env
            .insert("WEBHOOK_ALLOW_PRIVATE", "127.0.0.1".to_owned());
        subscribe(&app, &endpoint.url(), &["cancelled"]).await;
        let cancelled = app.booking("pending", noon() + hours(200)).await;
        app.sql(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&cancelled],
        )
        .await;
        create_due_bookings(&app, 1).await;
        // An old event to delete.
        let old =
            "INSERT INTO booking_automation_events (booking_id, event_type, status, created_at)
                   VALUES (gen_random_uuid(), 'status_update', 'completed', $1)";
        app.sql(old, &[&(noon() - hours(24 * 1000))]).await;
        let proxy = Proxy::start_cutting_at(&app.url, Cut::Silence, number).await;
        app.env.insert("DATABASE_URL", proxy.url.clone());
        let begun = Instant::now();
        run_at_noon(&app, "5s").await;
        (proxy.was_cut(), begun.elapsed())
    };
    let mut cut_at = 0;
    for numbers in [1..=12, 13..=24, 25..=36] {
        for (number, (was_cut, took)) in numbers.clone().zip(join_all(numbers.map(silent_at)).await)
        {
            cut_at += u64::from(was_cut);
            // The time limits of the connection are ten seconds and more.
            assert!(took < Duration::from_secs(10), "{number}: {took:?}");
        }
    }
    // The transactions of a pass: claims and records of mail and webhooks, summary, flags,
    // deletion, duration. Fewer if the machine is too slow for all of them within the call.
    assert!((6..36).contains(&cut_at), "{cut_at}");
}

#[tokio::test]
async fn the_summary_counts_outcomes_that_could_not_be_recorded() {
    let mut app = App::new().await;
    create_due_bookings(&app, 2).await;
    app.ses.answer(|mail| match mail.to() {
        "c1@customers.example" => Answer::Error(400, "MessageRejected", "no"),
        _ => Answer::Sent,
    });
    // The database stops answering at the fifth transaction, which would record. The third reads the
    // owner's texts in one message.
    let proxy = Proxy::start_cutting_at(&app.url, Cut::Silence, 8).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let said = run_at_noon(&app, "10s").await;
    assert!(proxy.was_cut());
    let told = &said.summary()["reminders"];
    assert_eq!(
        (&told["sent"], &told["failed"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    assert_eq!(reminder_outcomes(&app).await, ["sending 1 2"]);
}

/// Makes every `change` wait in a trigger until the returned session ends. `lock_timeout` does not
/// end this wait.
async fn block_changes_in_trigger(app: &App, change: &str) -> tokio_postgres::Client {
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION block_changes_in_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.005); END LOOP;
                    RETURN NULL;
                END $$;
             CREATE TRIGGER dawdle AFTER {change} EXECUTE FUNCTION block_changes_in_trigger()"
        ))
        .await
        .unwrap();
    let holder = connect(&app.url).await;
    holder
        .batch_execute("SELECT pg_advisory_lock(1)")
        .await
        .unwrap();
    holder
}

/// True while the program waits in the trigger.
const WAITS_IN_TRIGGER: &str =
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                          AND application_name = 'booking-automation' AND wait_event = 'PgSleep')";

#[tokio::test]
async fn a_session_terminated_during_a_pass_leaves_only_the_failed_run_row() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    let schedule = example_event("schedule");
    assert_eq!(
        instance.invoke(&schedule).await.unwrap()["outcome"],
        "completed"
    );
    app.booking_due_now().await;
    let started = app
        .booking("confirmed", chrono::Utc::now() - minutes(1))
        .await;
    let holder = block_changes_in_trigger(&app, "UPDATE ON bookings FOR EACH ROW").await;
    let end = async {
        app.wait_until(WAITS_IN_TRIGGER).await;
        terminate_sessions(&app).await;
    };
    let (outcome, ()) = tokio::join!(instance.invoke(&schedule), end);
    let error = outcome.unwrap_err();
    assert_eq!(error["errorType"], "PassFailed");
    assert!(
        error["errorMessage"].as_str().unwrap().contains("57P01"),
        "{error}"
    );
    assert_eq!(run_outcomes(&app).await, ["completed", "failed"]);
    assert_eq!(app.status(started).await, "confirmed");
    let events: i64 = app
        .one("SELECT count(*) FROM booking_automation_events", &[])
        .await
        .get(0);
    assert_eq!((events, app.ses.mails().len()), (0, 0));

    drop(holder);
    let summary = instance.invoke(&schedule).await.unwrap();
    assert_eq!(
        (
            &summary["transitions"]["started"],
            &summary["reminders"]["sent"]
        ),
        (&json!(1), &json!(1)),
        "{summary}"
    );
    assert_eq!(app.status(started).await, "in_progress");
    assert_eq!(count_repeated(&app, 1).await, 0);
}

#[tokio::test]
async fn a_session_terminated_with_messages_in_flight_loses_no_outcome() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    for _ in 0..8 {
        app.booking_due_now().await;
    }
    let release = hold_answers_after(&app, 4);
    let schedule = example_event("schedule");
    let end = async {
        app.ses.wait_for_mails(8).await;
        terminate_sessions(&app).await;
        release.send(true).unwrap();
    };
    let (summary, ()) = tokio::join!(instance.invoke(&schedule), end);
    assert_eq!(summary.unwrap()["reminders"]["sent"], 8);
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 8"]);
    assert_eq!(
        instance.invoke(&schedule).await.unwrap()["outcome"],
        "completed"
    );
    assert_eq!(count_repeated(&app, 8).await, 0);
}

#[tokio::test]
async fn a_session_terminated_during_claim_or_record_loses_and_repeats_nothing() {
    for (change, claiming) in [
        ("UPDATE ON booking_automation_channels FOR EACH ROW", true),
        (
            "UPDATE ON booking_automation_events FOR EACH ROW WHEN (NEW.status = 'completed')",
            false,
        ),
    ] {
        let app = App::new().await;
        let instance = Instance::start(&app).await;
        app.booking_due_now().await;
        let holder = block_changes_in_trigger(&app, change).await;
        let end = async {
            app.wait_until(WAITS_IN_TRIGGER).await;
            terminate_sessions(&app).await;
            drop(holder);
        };
        let schedule = example_event("schedule");
        let (summary, ()) = tokio::join!(instance.invoke(&schedule), end);
        let summary = summary.unwrap();
        let reminders = &summary["reminders"];
        let told = (&reminders["sent"], &reminders["deferred"]);
        if claiming {
            assert_eq!(told, (&json!(0), &json!(1)), "{summary}");
            assert_eq!(reminder_outcomes(&app).await, ["pending 0 1"]);
            assert_eq!(
                instance.invoke(&schedule).await.unwrap()["reminders"]["sent"],
                1
            );
        } else {
            assert_eq!(told, (&json!(1), &json!(0)), "{summary}");
        }
        assert_eq!(reminder_outcomes(&app).await, ["completed 1 1"]);
        assert_eq!(count_repeated(&app, 1).await, 0);
    }
}

/// An app with ten due messages, which are sent in pages of four and six.
async fn app_with_ten_messages_in_two_pages() -> App {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, 10).await;
    app
}

/// Runs the program on a connection that is cut at a COMMIT; returns figures of the summary, and
/// the outbox.
async fn run_with_cut_commit(app: &mut App, cut: Cut, commit: u64) -> (Value, Vec<String>) {
    let proxy = Proxy::start_cutting_at(&app.url, cut, commit).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let said = run_at_noon(app, "50s").await;
    assert!(proxy.was_cut(), "{cut:?} {commit}");
    app.env.insert("DATABASE_URL", app.url.clone());
    let summary = said.summary();
    let reminders = &summary["reminders"];
    let figures = json!([
        reminders["due"],
        reminders["sent"],
        reminders["deferred"],
        summary["backlog"]["pending"]
    ]);
    (figures, reminder_outcomes(app).await)
}

#[tokio::test]
async fn a_claim_with_a_lost_commit_answer_sends_nothing_until_its_lease_expires() {
    for cut in [Cut::Before, Cut::Within, Cut::After] {
        let mut app = app_with_ten_messages_in_two_pages().await;
        let (told, outbox) = run_with_cut_commit(&mut app, cut, 3).await;
        assert_eq!(app.ses.mails().len(), 0, "{cut:?}");
        if cut == Cut::Before {
            assert_eq!(
                (told, outbox),
                (json!([10, 0, 10, 10]), vec!["pending 0 10".to_owned()])
            );
        } else {
            // Four are claimed by a call that does not know it, perhaps only after its summary.
            let made_before = cut == Cut::Within && told == json!([10, 0, 10, 10]);
            assert!(
                made_before || told == json!([6, 0, 6, 10]),
                "{cut:?} {told}"
            );
            assert_eq!(outbox, ["pending 0 6", "sending 1 4"]);
            assert_eq!(app.run(noon()).await["reminders"]["sent"], 6);
            assert_eq!(
                reminder_outcomes(&app).await,
                ["completed 1 6", "sending 1 4"],
                "under a lease"
            );
            app.make_claimable().await;
        }
        app.run(noon()).await;
        assert_eq!(count_repeated(&app, 10).await, 0, "{cut:?}");
    }
}

#[tokio::test]
async fn outcomes_with_a_lost_commit_answer_are_recorded_and_counted_once() {
    // The transactions: the pass, the mark, the claim, the record, the next claim, its record.
    for (commit, cut) in [4, 6]
        .into_iter()
        .flat_map(|commit| [Cut::Before, Cut::Within, Cut::After].map(|cut| (commit, cut)))
    {
        let mut app = app_with_ten_messages_in_two_pages().await;
        let (told, outbox) = run_with_cut_commit(&mut app, cut, commit).await;
        assert_eq!(
            (told, outbox),
            (json!([10, 10, 0, 0]), vec!["completed 1 10".to_owned()]),
            "{commit} {cut:?}"
        );
        app.run(noon()).await;
        assert_eq!(count_repeated(&app, 10).await, 0, "{commit} {cut:?}");
    }
}

#[tokio::test]
async fn a_lost_commit_answer_for_summary_or_flags_affects_nothing_else() {
    for (commit, cut) in [
        (8, Cut::Before),
        (8, Cut::After),
        (9, Cut::Before),
        (9, Cut::Within),
    ] {
        let mut app = app_with_ten_messages_in_two_pages().await;
        let (told, outbox) = run_with_cut_commit(&mut app, cut, commit).await;
        assert_eq!(
            (&told[1], outbox),
            (&json!(10), vec!["completed 1 10".to_owned()]),
            "{commit} {cut:?}"
        );
        app.run(noon() + minutes(1)).await;
        let flags: i64 = app
            .one("SELECT count(*) FROM bookings WHERE reminder_24h_sent", &[])
            .await
            .get(0);
        assert_eq!(
            (count_repeated(&app, 10).await, flags),
            (0, 10),
            "{commit} {cut:?}"
        );
    }
}

/// Starts a new segment of the write-ahead log, which then has space, and fills the rest of the
/// disk.
async fn fill_disk_except_wal(app: &App, own: &OwnCluster) {
    app.db
        .batch_execute("SELECT pg_switch_wal()")
        .await
        .unwrap();
    app.db.batch_execute("CHECKPOINT").await.unwrap();
    own.fill_disk();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_whole_pass_and_the_next_pass_does_the_work() {
    let Some(own) = OwnCluster::start_on_small_disk(100).await else {
        return;
    };
    let app = App::migrate_and_open(&own.url).await;
    app.run(noon() - hours(1)).await;
    let started = app.confirmed(noon()).await;
    // First only a status change, then reminders, too.
    for reminders in [0, 200] {
        create_due_bookings(&app, reminders).await;
        fill_disk_except_wal(&app, &own).await;
        let said = run_at_noon(&app, "50s").await;
        assert!(!said.success && said.stdout.is_empty(), "{said:?}");
        assert!(
            said.stderr
                .contains("the pass failed: 53100: could not extend file"),
            "{}",
            said.stderr
        );
        assert_eq!(app.status(started).await, "confirmed");
        let events: i64 = app
            .one("SELECT count(*) FROM booking_automation_events", &[])
            .await
            .get(0);
        assert_eq!((events, app.ses.mails().len()), (0, 0));
        own.free_disk();
    }

    let summary = run_at_noon(&app, "50s").await.summary();
    assert_eq!(
        (
            &summary["transitions"]["started"],
            &summary["reminders"]["sent"]
        ),
        (&json!(1), &json!(200)),
        "{summary}"
    );
    assert_eq!(count_repeated(&app, 200).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_with_messages_in_flight_loses_no_outcome() {
    let Some(own) = OwnCluster::start_on_small_disk(100).await else {
        return;
    };
    let mut app = App::migrate_and_open(&own.url).await;
    app.env.insert("SEND_CONCURRENCY", "100".to_owned());
    create_due_bookings(&app, 100).await;
    // An old snapshot keeps the space of the old rows from being reused.
    let reader = connect(&own.url).await;
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT")
        .await
        .unwrap();
    let release = hold_answers_after(&app, 0);
    let fill = async {
        app.ses.wait_for_mails(100).await;
        fill_disk_except_wal(&app, &own).await;
        release.send(true).unwrap();
        while !own.log().contains("could not extend file") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        own.free_disk();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "50s"), fill);
    assert!(
        said.stderr.contains("53100: could not extend file"),
        "{}",
        said.stderr
    );
    assert_eq!(said.summary()["reminders"]["sent"], 100);
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 100"]);
    assert_eq!(count_repeated(&app, 100).await, 0);
}

/// Fills the disk, and the write-ahead log up to the last 4 KB of its last segment.
async fn fill_disk_and_wal(app: &App, own: &OwnCluster) {
    app.db.batch_execute("CHECKPOINT").await.unwrap();
    own.fill_disk();
    let sql = "SELECT pg_walfile_name(lsn) = (SELECT max(name) FROM pg_ls_waldir() WHERE length(name) = 24),
                      (1048576 - (lsn - '0/0') % 1048576)::int
                 FROM pg_current_wal_insert_lsn() AS lsn";
    loop {
        let row = app.one(sql, &[]).await;
        let (last, left): (bool, i32) = (row.get(0), row.get(1));
        if last && left < 4096 {
            return;
        }
        let size = if last { (left - 2048).min(100_000) } else { 10 };
        app.one(
            "SELECT pg_logical_emit_message(false, 'ballast', repeat('x', $1))",
            &[&size],
        )
        .await;
        if !last {
            app.one("SELECT pg_switch_wal()", &[]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_panic_for_a_full_wal_at_commit_loses_nothing() {
    let Some(own) = OwnCluster::start_on_small_disk(100).await else {
        return;
    };
    let mut app = App::migrate_and_open(&own.url).await;
    // The tables have a page each, so that the pass needs no new page.
    app.confirmed(noon() - minutes(10)).await;
    let started = app.confirmed(noon()).await;
    let due = app.confirmed(noon() + hours(24)).await;
    app.run(noon() - minutes(10)).await;
    fill_disk_and_wal(&app, &own).await;
    let said = run_at_noon(&app, "10s").await;
    assert!(!said.success && said.stdout.is_empty(), "{said:?}");
    assert!(own.log().contains("PANIC"), "{}", own.log());
    assert!(
        said.stderr.contains("53100: could not write to file"),
        "{}",
        said.stderr
    );

    own.free_disk();
    own.crash();
    own.start_server();
    app.db = connect(&own.url).await;
    assert_eq!(app.status(started).await, "confirmed");
    assert!(app.reminders(due).await.is_empty());
    let summary = run_at_noon(&app, "50s").await.summary();
    assert_eq!(
        (
            &summary["transitions"]["started"],
            &summary["reminders"]["sent"]
        ),
        (&json!(1), &json!(1)),
        "{summary}"
    );
    // This includes the 15 min reminder of the first run.
    assert_eq!(count_repeated(&app, 2).await, 0);
    let audited: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update'",
            &[&started],
        )
        .await
        .get(0);
    assert_eq!(audited, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_panic_for_a_full_wal_with_messages_in_flight_loses_no_outcome() {
    let Some(own) = OwnCluster::start_on_small_disk(100).await else {
        return;
    };
    let mut app = App::migrate_and_open(&own.url).await;
    app.env.insert("SEND_CONCURRENCY", "20".to_owned());
    create_due_bookings(&app, 20).await;
    let release = hold_answers_after(&app, 0);
    let failure = async {
        app.ses.wait_for_mails(20).await;
        fill_disk_and_wal(&app, &own).await;
        release.send(true).unwrap();
        while !own.log().contains("PANIC") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        own.free_disk();
        own.crash();
        own.start_server();
    };
    let (said, ()) = tokio::join!(run_at_noon(&app, "50s"), failure);
    assert!(
        said.stderr.contains("could not be recorded; trying again"),
        "{}",
        said.stderr
    );
    assert_eq!(said.summary()["reminders"]["sent"], 20);
    app.db = connect(&own.url).await;
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 20"]);
    assert_eq!(count_repeated(&app, 20).await, 0);
}
