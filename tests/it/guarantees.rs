//! The guarantees: no concurrent passes, no two mails for one key, no partial work, and no harm
//! to the database's owners.

use std::time::Duration;

use booking_automation::database::Database;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::primitives::call::Call;
use booking_automation::tick::pass::{self, Pass};
use booking_automation::tick::settings::PassSettings;
use booking_automation::tick::trigger::Trigger;
use chrono::{DateTime, Utc};
use tokio_postgres::Client;

use crate::app::{App, connect, hours, minutes, noon, skipped};
use crate::cluster::cluster;
use crate::links::name_people;
use crate::proxy::{Cut, Proxy};
use crate::webhooks::subscribe;

/// Takes the pass's lock, as another pass does.
async fn hold_pass_lock(app: &App) -> Client {
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    // The key of the lock that a pass takes. It is a literal, so that a change of the key is
    // noticed.
    other
        .execute("SELECT pg_advisory_xact_lock(7091869195317477377)", &[])
        .await
        .unwrap();
    other
}

#[tokio::test]
async fn concurrent_passes_all_skip_while_the_lock_is_held() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    let lock = hold_pass_lock(&app).await;
    let calls = (0..20).map(|_| app.run(noon()));
    // All answer while the lock is held: none waits for it.
    for summary in futures_util::future::join_all(calls).await {
        assert_eq!(
            (&summary["outcome"], &summary["reason"]),
            (&"skipped".into(), &"overlap".into())
        );
    }
    assert_eq!(app.status(id).await, "confirmed");
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 0);
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(app.run(noon()).await["outcome"], "completed");
    assert_eq!(app.status(id).await, "in_progress");
}

#[tokio::test]
async fn concurrent_passes_send_no_reminder_twice() {
    let app = App::new().await;
    let mut expected = 0;
    for round in 0..6 {
        let now = noon() + minutes(round);
        for lead in [hours(24), hours(1), minutes(15)] {
            for _ in 0..5 {
                app.confirmed(now + lead).await;
                expected += 1;
            }
        }
        let calls = (0..20).map(|_| app.run(now));
        let summaries = futures_util::future::join_all(calls).await;
        let ran = summaries
            .iter()
            .filter(|summary| summary["outcome"] == "completed")
            .count();
        assert!(ran >= 1);
        // The calls share the messages, and no message is counted twice.
        let sent: i64 = summaries
            .iter()
            .filter_map(|summary| summary["reminders"]["sent"].as_i64())
            .sum();
        assert_eq!(sent, 15, "round {round}");
    }
    let mut events: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.event_id().to_owned())
        .collect();
    assert_eq!(events.len(), expected);
    events.sort();
    events.dedup();
    assert_eq!(events.len(), expected, "no key is sent twice");
    let double =
        "SELECT booking_id::text FROM booking_automation_events WHERE event_type = 'reminder_sent'
                   GROUP BY booking_id, revision, rule, audience, channel HAVING count(*) > 1";
    assert_eq!(app.column(double, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_unique_key_prevents_duplicate_reminders_without_the_lock() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let copy = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, revision)
                SELECT booking_id, event_type, rule, audience, channel, revision FROM booking_automation_events
                 WHERE event_type = 'reminder_sent'";
    let error = app.db.execute(copy, &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505");
    let nullable: i64 = app
        .one(
            "SELECT count(*) FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey)
              WHERE i.indexrelid = 'booking_automation_events_reminder_key'::regclass AND NOT a.attnotnull",
            &[],
        )
        .await
        .get(0);
    assert_eq!(nullable, 0);
}

#[tokio::test]
async fn a_reminder_enqueued_concurrently_is_sent_once() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    // Like a pass without the lock: its row is not committed and therefore not visible.
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    let sql = "INSERT INTO booking_automation_events
                   (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at, next_attempt_at)
               SELECT booking_id, 'reminder_sent', 'pending', '24h', 'customer', 'email', revision, starts_at, $2, now()
                 FROM booking_automation_state WHERE booking_id = $1";
    assert_eq!(other.execute(sql, &[&id, &noon()]).await.unwrap(), 1);
    // This pass either fails on the unique key or finds the row; it does not add another row.
    app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_reminder_enqueued_a_moment_before_does_not_fail_the_pass() {
    let app = App::new().await;
    let ids = [
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    ];
    // The trigger inserts a row with the same key between the check for existing rows and the
    // insert.
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION another() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
             BEGIN
                 INSERT INTO booking_automation_events
                        (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at, next_attempt_at)
                 VALUES (NEW.booking_id, NEW.event_type, 'pending', NEW.rule, NEW.audience, NEW.channel, NEW.revision, NEW.starts_at,
                         NEW.scheduled_at, now());
                 RETURN NEW;
             END $$;
             CREATE TRIGGER another BEFORE INSERT ON booking_automation_events FOR EACH ROW
                 WHEN (pg_trigger_depth() = 0 AND NEW.booking_id = '{}' AND NEW.event_type = 'reminder_sent') EXECUTE FUNCTION another()",
            ids[0]
        ))
        .await
        .unwrap();
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 2);
    for id in ids {
        assert_eq!(app.reminders(id).await, ["24h completed"]);
    }
    assert_eq!(app.ses.mails().len(), 2);
}

/// The first pass stops in its transaction: it waits in a trigger for a lock of the test.
#[tokio::test]
async fn an_overlapping_pass_skips_at_once_while_another_is_running() {
    let app = App::new().await;
    app.confirmed(noon()).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
             CREATE TRIGGER dawdle AFTER UPDATE ON bookings FOR EACH STATEMENT EXECUTE FUNCTION dawdle()",
        )
        .await
        .unwrap();
    let other = connect(&app.url).await;
    other
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1)")
        .await
        .unwrap();
    let slow = app.run(noon());
    let second = async {
        app.wait_until(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)",
        )
        .await;
        let summary = app.run(noon()).await;
        other.batch_execute("COMMIT").await.unwrap();
        summary
    };
    let (first, second) = tokio::join!(slow, second);
    assert_eq!(second["outcome"], "skipped");
    assert_eq!(first["outcome"], "completed");
}

#[tokio::test]
async fn a_connection_lost_before_during_or_after_commit_leaves_all_or_nothing() {
    for cut in [Cut::Before, Cut::Within, Cut::After, Cut::Panic] {
        let mut app = App::new().await;
        let id = app.confirmed(noon()).await;
        let due = app.confirmed(noon() + hours(24)).await;
        let proxy = Proxy::start(&app.url, cut).await;
        app.env.insert("DATABASE_URL", proxy.url.clone());
        let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
        assert!(proxy.was_cut(), "{cut:?}");

        let runs: Vec<String> = app
            .column(
                "SELECT outcome FROM automation_runs ORDER BY created_at",
                &[],
            )
            .await;
        match cut {
            Cut::Never | Cut::Begin | Cut::Forever | Cut::Silence | Cut::Hold => {
                unreachable!("not among them")
            }
            // Nothing is left but the row of the failed run.
            Cut::Before => {
                assert!(!said.success);
                assert_eq!(said.stdout, "");
                assert_eq!(runs, ["failed"]);
                assert_eq!(app.status(id).await, "confirmed");
                assert!(app.reminders(due).await.is_empty());
                let events: i64 = app
                    .one("SELECT count(*) FROM booking_automation_events", &[])
                    .await
                    .get(0);
                assert_eq!(events, 0);
            }
            // Committed, as the run's row shows, and delivered.
            Cut::Within | Cut::After | Cut::Panic => {
                assert_eq!(
                    said.summary()["reminders"]["sent"],
                    1,
                    "{cut:?} {}",
                    said.stderr
                );
                assert!(
                    said.stderr.contains("to settle a lost COMMIT"),
                    "{}",
                    said.stderr
                );
                assert_eq!(runs, ["completed"]);
            }
        }
        app.env.insert("DATABASE_URL", app.url.clone());
        app.run(noon() + minutes(1)).await;
        assert_eq!(app.status(id).await, "in_progress");
        assert_eq!(app.reminders(due).await, ["24h completed"]);
        assert_eq!(app.ses.mails().len(), 1, "{cut:?}");
        let audit: i64 = app
            .one(
                "SELECT count(*) FROM booking_automation_events WHERE event_type = 'status_update'",
                &[],
            )
            .await
            .get(0);
        assert_eq!(audit, 1, "{cut:?}");
    }
}

#[tokio::test]
async fn a_failed_pass_leaves_a_run_row_and_reveals_no_secrets() {
    let mut app = App::new().await;
    let id = app.confirmed(noon()).await;
    app.db
        .batch_execute("ALTER TABLE booking_automation_looks RENAME TO gone")
        .await
        .unwrap();
    let said = app.call(&["run"]).await;
    assert!(!said.success && said.stdout.is_empty());
    assert!(
        said.stderr
            .contains("run `booking-automation migrate` first"),
        "{}",
        said.stderr
    );
    app.db
        .batch_execute("ALTER TABLE gone RENAME TO booking_automation_looks")
        .await
        .unwrap();

    app.db
        .batch_execute("ALTER TABLE automation_runs ADD CHECK (outcome <> 'completed')")
        .await
        .unwrap();
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        !said.success && said.stderr.contains("SQLSTATE 23514"),
        "{}",
        said.stderr
    );
    assert_eq!(app.status(id).await, "confirmed");
    let error = app
        .column(
            "SELECT error FROM automation_runs WHERE outcome = 'failed'",
            &[],
        )
        .await;
    assert_eq!(error.len(), 1);
    assert!(error[0].contains("automation_runs"), "{error:?}");

    app.env.insert(
        "DATABASE_URL",
        "postgres://nobody:secret-password@127.0.0.1:1/none".to_owned(),
    );
    let said = app.call(&["run"]).await;
    assert!(!said.success);
    assert!(
        said.stderr.contains("the database cannot be reached"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("secret-password"));
}

#[tokio::test]
async fn manual_status_changes_are_audited_with_their_role_or_actor() {
    let app = App::new().await;
    let ids = [
        app.booking("pending", noon()).await,
        app.booking("pending", noon()).await,
    ];
    let backend = app.backend_role().await;
    let sql = "UPDATE bookings SET status = 'confirmed'";
    assert_eq!(backend.execute(sql, &[]).await.unwrap(), 2);
    backend
        .batch_execute("SET booking_automation.actor = 'support: Sam'")
        .await
        .unwrap();
    backend
        .execute(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&ids[0]],
        )
        .await
        .unwrap();
    backend
        .execute("UPDATE bookings SET status = status, total_price = 5", &[])
        .await
        .unwrap();
    let role: String = backend
        .query_one("SELECT session_user::text", &[])
        .await
        .unwrap()
        .get(0);

    // This role may not write the trail: what it says of itself is only a claim.
    let sql = "SELECT concat_ws(' ', event_data ->> 'from', event_data ->> 'to', event_data ->> 'by', event_data ->> 'session_user',
                                event_data ->> 'claimed_by', status)
                 FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq";
    let confirmed = format!("pending confirmed {role} {role} completed");
    assert_eq!(
        app.column(sql, &[&ids[0]]).await,
        [
            confirmed.clone(),
            format!("confirmed cancelled {role} {role} support: Sam completed")
        ]
    );
    assert_eq!(app.column(sql, &[&ids[1]]).await, [confirmed]);
    let automatic: i64 = app
        .one(
            "SELECT count(*) FROM bookings WHERE auto_status_updated",
            &[],
        )
        .await
        .get(0);
    assert_eq!(automatic, 0);
    let times: bool = app
        .one("SELECT bool_and(executed_at > now() - interval '1 minute') FROM booking_automation_events", &[])
        .await
        .get(0);
    assert!(times);
}

#[tokio::test]
async fn statements_of_the_users_backend_still_succeed() {
    let app = App::new().await;
    for index in 0..20 {
        app.confirmed(noon() + hours(24) + minutes(index)).await;
    }
    app.run(noon() + minutes(5)).await;
    let backend = app.backend_role().await;
    for sql in [
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour'",
        "UPDATE bookings SET status = 'cancelled'",
        "UPDATE bookings SET status = 'confirmed', scheduled_at = 'infinity'",
        "UPDATE bookings SET scheduled_at = '-infinity'",
        "UPDATE bookings SET scheduled_at = '294276-12-31 23:59:59Z', duration_minutes = 2147483647",
        "UPDATE bookings SET auto_complete_blocked = true",
        "UPDATE bookings SET auto_complete_blocked = NULL, duration_minutes = -2147483648",
        "UPDATE bookings SET scheduled_at = now(), automation_logs = NULL",
        "UPDATE bookings SET id = gen_random_uuid()",
        "INSERT INTO bookings (status, scheduled_at) VALUES ('confirmed', 'infinity'), ('confirmed', now() + interval '1 hour')",
        "INSERT INTO bookings SELECT * FROM bookings ON CONFLICT (id) DO UPDATE SET status = 'paid'",
        "INSERT INTO bookings (id, status, scheduled_at) SELECT gen_random_uuid(), 'confirmed', now() + n * interval '1 minute' FROM generate_series(1, 5000) n",
        "WITH gone AS (DELETE FROM bookings WHERE status = 'paid' RETURNING *) INSERT INTO bookings SELECT * FROM gone",
        "DELETE FROM users",
        "DELETE FROM bookings",
    ] {
        for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            let undo = if isolation == "SERIALIZABLE" {
                "COMMIT"
            } else {
                "ROLLBACK"
            };
            backend
                .batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; {sql}; {undo}"))
                .await
                .unwrap_or_else(|error| panic!("{isolation}: {sql}: {error:?}"));
        }
    }
    // The trail outlives the bookings.
    let events: i64 = app
        .one("SELECT count(*) FROM booking_automation_events", &[])
        .await
        .get(0);
    assert!(events >= 40, "{events}");
}

#[tokio::test]
async fn a_pass_does_not_fail_a_repeatable_read_transaction() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let backend = app.backend_role().await;
    backend
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    backend.query("SELECT FROM bookings", &[]).await.unwrap();
    // The pass enqueues a reminder. No mail is sent, so that the booking is not written.
    app.ses
        .answer(|_| crate::ses::Answer::Error(400, "SendingPausedException", "paused"));
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h pending account"]);
    backend
        .execute(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&id],
        )
        .await
        .unwrap();
    backend
        .execute(
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            &[&id],
        )
        .await
        .unwrap();
    backend.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_write_to_bookings_adds_only_the_rows_that_it_requires() {
    let app = App::new().await;
    let left = "SELECT concat_ws(' ', (SELECT count(*) FROM booking_automation_looks), (SELECT count(*) FROM booking_automation_state),
                                      (SELECT count(*) FROM booking_automation_events))";
    let pending = app.booking("pending", noon() + hours(24)).await;
    let past = app.booking("confirmed", noon() - hours(1)).await;
    for (write, booking, looks_states_events) in [
        (
            "UPDATE bookings SET location = 'elsewhere' WHERE id = $1",
            pending,
            "0 0 0",
        ),
        (
            "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1",
            pending,
            "0 0 1",
        ),
        (
            "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 hour' WHERE id = $1",
            past,
            "0 1 2",
        ),
        (
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            pending,
            "0 1 3",
        ),
        (
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            pending,
            "1 2 4",
        ),
        (
            "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
            pending,
            "1 2 4",
        ),
        (
            "UPDATE bookings SET status = 'in_progress' WHERE id = $1",
            pending,
            "1 2 5",
        ),
    ] {
        app.sql(write, &[&booking]).await;
        assert_eq!(
            app.column(left, &[]).await,
            [looks_states_events],
            "{write}"
        );
    }
    let state = "SELECT concat_ws(' ', revision, unblocked_at) FROM booking_automation_state WHERE booking_id = $1";
    assert_eq!(app.column(state, &[&pending]).await, ["1"]);
}

#[tokio::test]
async fn user_triggers_fire_only_for_real_changes() {
    let app = App::new().await;
    let moving = app.confirmed(noon() + minutes(15)).await;
    let untouched = app.confirmed(noon() + hours(100)).await;
    app.db
        .batch_execute(
            "CREATE TABLE fired (booking_id uuid, change text);
             CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF OLD IS NOT DISTINCT FROM NEW THEN RAISE EXCEPTION 'nothing changed'; END IF;
                    INSERT INTO fired VALUES (NEW.id, concat_ws(' ', NEW.status, NEW.reminder_15m_sent));
                    RETURN NULL;
                END $$;
             CREATE TRIGGER fired AFTER UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION fired()",
        )
        .await
        .unwrap();
    for minute in 0..5 {
        app.run(noon() + minutes(minute)).await;
    }
    for time in [minutes(15), minutes(16), minutes(75), minutes(76)] {
        app.run(noon() + time).await;
    }
    let fired = app
        .column("SELECT change FROM fired WHERE booking_id = $1", &[&moving])
        .await;
    assert_eq!(fired, ["confirmed t", "in_progress t", "completed t"]);
    let others: i64 = app
        .one(
            "SELECT count(*) FROM fired WHERE booking_id = $1",
            &[&untouched],
        )
        .await
        .get(0);
    assert_eq!(others, 0);
}

#[tokio::test]
async fn a_flag_that_is_already_set_is_not_written_again() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "CREATE TABLE fired (booking_id uuid);
             CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO fired VALUES (NEW.id); RETURN NULL; END $$",
        )
        .await
        .unwrap();
    let rules = [("24h", hours(24)), ("1h", hours(1)), ("15m", minutes(15))];
    for (rule, lead) in rules {
        app.sql("UPDATE reminder_rules SET active = (name = $1)", &[&rule])
            .await;
        app.sql(
            "UPDATE reminder_rules SET effective_from = '2020-01-01'",
            &[],
        )
        .await;
        let id = app.confirmed(noon() + lead).await;
        app.sql(
            &format!("UPDATE bookings SET reminder_{rule}_sent = true WHERE id = $1"),
            &[&id],
        )
        .await;
        app.db
            .batch_execute("CREATE TRIGGER fired AFTER UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION fired()")
            .await
            .unwrap();
        app.run(noon()).await;
        assert_eq!(app.reminders(id).await, [format!("{rule} completed")]);
        app.db
            .batch_execute("DROP TRIGGER fired ON bookings")
            .await
            .unwrap();
    }
    assert_eq!(
        app.column("SELECT booking_id::text FROM fired", &[]).await,
        Vec::<String>::new()
    );
    let behind: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE flag_due",
            &[],
        )
        .await
        .get(0);
    assert_eq!(behind, 0);
}

/// `auto_explain` reports the plan of the trigger's join from inside the function.
#[tokio::test]
async fn a_bulk_update_after_single_row_updates_uses_a_good_trigger_plan() {
    let app = App::new().await;
    let mut config = app.url.parse::<tokio_postgres::Config>().unwrap();
    config.options("-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 -c auto_explain.log_nested_statements=on -c auto_explain.log_level=NOTICE -c auto_explain.log_analyze=off");
    let (client, mut connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    let (sender, mut plans) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                let _ = sender.send(notice.message().to_owned());
            }
        }
    });
    subscribe(&app, "https://hooks.example", &["rescheduled"]).await;
    let id = app.confirmed(noon() + hours(50)).await;
    app.sql(
        "INSERT INTO bookings (status, scheduled_at) SELECT 'paid', $1::timestamptz + n * interval '1 second' FROM generate_series(1, 5000) AS n",
        &[&noon()],
    )
    .await;
    // PL/pgSQL plans the statement of the function for one row and caches the plan.
    for _ in 0..7 {
        let one =
            "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 second' WHERE id = $1";
        client.execute(one, &[&id]).await.unwrap();
    }
    while plans.try_recv().is_ok() {}
    client
        .execute(
            "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 second'",
            &[],
        )
        .await
        .unwrap();
    drop(client);
    let mut trigger_plans = Vec::new();
    while let Some(plan) = plans.recv().await {
        if plan.contains("new_rows") && plan.contains("old_rows") {
            trigger_plans.push(plan);
        }
    }
    assert!(
        trigger_plans.len() >= 2,
        "auto_explain reports the statements of both triggers"
    );
    for plan in trigger_plans {
        assert!(
            plan.contains("Hash Cond: (n.id = o.id)") || plan.contains("Hash Cond: (o.id = n.id)"),
            "{plan}"
        );
    }
}

#[tokio::test]
async fn cached_trigger_plans_do_not_scan_tables_that_have_grown() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(50)).await;
    subscribe(&app, "https://hooks.example", &["rescheduled", "cancelled"]).await;
    app.db
        .batch_execute(
            "ALTER TABLE bookings SET (autovacuum_enabled = off);
             ALTER TABLE booking_automation_events SET (autovacuum_enabled = off);
             ALTER TABLE booking_automation_state SET (autovacuum_enabled = off);
             ALTER TABLE booking_automation_looks SET (autovacuum_enabled = off)",
        )
        .await
        .unwrap();
    let session = app.backend_role().await;
    let write = async || {
        for sql in [
            "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 second' WHERE id = $1",
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            "INSERT INTO bookings (status, scheduled_at) SELECT 'confirmed', scheduled_at FROM bookings WHERE id = $1",
        ] {
            assert_eq!(session.execute(sql, &[&id]).await.unwrap(), 1);
        }
    };
    write().await;
    app.db.batch_execute("VACUUM ANALYZE").await.unwrap();
    for _ in 0..7 {
        write().await;
    }
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (status, scheduled_at) SELECT 'paid', now() FROM generate_series(1, 10000);
             INSERT INTO booking_automation_state (booking_id, revision) SELECT id, 1 FROM bookings ON CONFLICT DO NOTHING;
             INSERT INTO booking_automation_events (booking_id, event_type, status) SELECT id, 'status_update', 'completed' FROM bookings",
        )
        .await
        .unwrap();
    session.batch_execute("BEGIN").await.unwrap();
    write().await;
    let read = "SELECT relname::text || ' ' || seq_tup_read FROM pg_stat_xact_user_tables
                 WHERE relname IN ('bookings', 'booking_automation_state', 'booking_automation_events') AND seq_tup_read > 5000";
    let whole: Vec<String> = session
        .query(read, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(whole, [""; 0]);
}

/// The library with a pool of one connection: one session for several passes, as in a warm
/// function.
fn database_and_settings(url: &str) -> (Database, PassSettings) {
    let lookup = |name: &str| (name == "DATABASE_URL").then(|| url.to_owned());
    let database = Database::new(&DatabaseSettings::from_environment(&lookup).unwrap(), 1).unwrap();
    (database, PassSettings::from_environment(&lookup).unwrap())
}

fn call_at(as_of: DateTime<Utc>) -> Call {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    Call {
        as_of: Some(as_of),
        ..Call::until(deadline)
    }
}

#[tokio::test]
async fn an_idle_pass_takes_four_round_trips_and_a_busy_pass_a_constant_number() {
    let app = App::new().await;
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    let (database, settings) = database_and_settings(&proxy.url);
    let mut trips = Vec::new();
    for (minute, bookings) in [(0, 0), (1, 0), (2, 1), (3, 500)] {
        for index in 0..bookings {
            app.confirmed(noon() + minutes(minute) - chrono::Duration::milliseconds(index))
                .await;
            app.confirmed(
                noon() + hours(24) + minutes(minute) - chrono::Duration::milliseconds(index),
            )
            .await;
        }
        let before = proxy.round_trips();
        let Pass::Committed(committed) = pass::run(
            &database,
            &settings,
            &Trigger::Cli,
            &call_at(noon() + minutes(minute)),
        )
        .await
        .unwrap() else {
            panic!("the pass was skipped")
        };
        assert_eq!(committed.work.transitions.started, bookings);
        trips.push(proxy.round_trips() - before);
    }
    // The check of the connection, BEGIN with the lock, the probes, the run's row with COMMIT.
    assert_eq!(trips[1], 4, "{trips:?}");
    assert_eq!(trips[2], trips[3], "{trips:?}");
}

#[tokio::test]
async fn names_in_the_view_cost_round_trips_only_when_quiet_hours_begin() {
    let app = App::new().await;
    name_people(&app, "lower(shipped.email)").await;
    let sql = "INSERT INTO booking_automation_preferences (person_id, quiet_from, quiet_until, timezone)
               VALUES ('carla@customers.example', '12:05', '20:00', 'UTC'), ('else@customers.example', '12:10', '20:00', 'UTC')";
    app.sql(sql, &[]).await;
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    let (database, settings) = database_and_settings(&proxy.url);
    let mut trips = Vec::new();
    for (minute, bookings) in [(0, 0), (3, 0), (5, 1), (7, 0), (9, 0), (10, 100)] {
        for _ in 0..bookings {
            // In the range that is read, and due when quiet hours are over.
            app.confirmed(noon() + hours(33)).await;
        }
        let before = proxy.round_trips();
        let call = call_at(noon() + minutes(minute));
        pass::run(&database, &settings, &Trigger::Cli, &call)
            .await
            .unwrap();
        trips.push(proxy.round_trips() - before);
    }
    assert_eq!((trips[1], trips[4]), (4, 4), "{trips:?}");
    assert!(trips[2] > 4, "{trips:?}");
    assert_eq!(trips[2], trips[5], "{trips:?}");
}

#[tokio::test]
async fn rows_that_need_no_work_leave_a_pass_idle() {
    let app = App::new().await;
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    let (database, settings) = database_and_settings(&proxy.url);
    // An inactive rule, and a rule that is newer than its due times.
    app.sql(
        "INSERT INTO reminder_rules (name, lead, active) VALUES ('30h', '30 hours', false), ('3h', '3 hours', true)",
        &[],
    )
    .await;
    app.booking("cancelled", noon() + hours(24) + minutes(2))
        .await;
    app.booking("pending", noon() - hours(1)).await;
    for start in [hours(2), hours(20), hours(30) + minutes(2), hours(1000)] {
        app.confirmed(noon() + start).await;
    }
    let blocked = app.booking("in_progress", noon() - hours(100)).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&blocked],
    )
    .await;
    app.run(noon()).await;
    let mut trips = Vec::new();
    for minute in [1, 2] {
        let before = proxy.round_trips();
        let due = pass::run(
            &database,
            &settings,
            &Trigger::Cli,
            &call_at(noon() + minutes(minute)),
        )
        .await
        .unwrap();
        assert!(matches!(due, Pass::Committed(_)));
        trips.push(proxy.round_trips() - before);
    }
    assert_eq!(trips[1], 4, "{trips:?}");
}

#[tokio::test]
async fn an_idle_pass_scans_no_whole_table() {
    let app = App::new().await;
    if !can_read_plans(&app) {
        return;
    }
    // Most confirmed bookings are in the future, and their reminders are decided. The statistics
    // have the number of confirmed bookings and of past starts, but not that no booking is both.
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (status, scheduled_at, duration_minutes)
             SELECT 'completed', timestamptz '2026-02-01Z' - n * interval '1 minute', 60 FROM generate_series(1, 40000) AS n;
             INSERT INTO bookings (status, scheduled_at, duration_minutes)
             SELECT 'confirmed', timestamptz '2026-03-02Z' + n * interval '1 second', 60 FROM generate_series(1, 20000) AS n;
             INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, starts_at, scheduled_at)
             SELECT id, 'reminder_sent', 'completed', '24h', 'customer', 'email', scheduled_at, scheduled_at - interval '1 day'
               FROM bookings WHERE status = 'confirmed';
             SET session_replication_role = DEFAULT;
             ANALYZE",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    enable_plan_logging(&app).await;
    let mut plans = plans_of_call(&app, noon() + minutes(1)).await;
    plans.retain(|plan| plan.contains("booking_automation_confirmed_start"));
    assert!(!plans.is_empty());
    for plan in plans {
        for table in [
            "Seq Scan on bookings",
            "Seq Scan on booking_automation_events",
        ] {
            assert!(!plan.contains(table), "{plan}");
        }
    }
}

#[tokio::test]
async fn a_few_due_bookings_are_looked_up_by_index_despite_a_high_estimate() {
    let app = App::new().await;
    if !can_read_plans(&app) {
        return;
    }
    // A table of three rules is never analyzed: the planner estimates thousands of rules, and
    // reminders for every booking.
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (status, scheduled_at, duration_minutes)
             SELECT 'confirmed', timestamptz '2026-03-03Z' + n * interval '1 second', 60 FROM generate_series(1, 20000) AS n;
             INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, starts_at, scheduled_at)
             SELECT id, 'reminder_sent', 'completed', rule, 'customer', 'email', scheduled_at, scheduled_at - interval '7 days'
               FROM bookings, unnest(ARRAY['7d', '3d', '2d']) AS rule;
             INSERT INTO booking_automation_state (booking_id, revision) SELECT id, 0 FROM bookings;
             SET session_replication_role = DEFAULT;
             ANALYZE bookings, booking_automation_events, booking_automation_state",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    for _ in 0..5 {
        app.confirmed(noon() + hours(24)).await;
    }
    app.sql("UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id IN (SELECT id FROM bookings LIMIT 100)", &[])
        .await;
    // The sweep, which begins with this pass, finds one.
    let move_one = format!(
        "UPDATE bookings SET scheduled_at = '{}' WHERE id = (SELECT id FROM bookings WHERE scheduled_at = '{}' LIMIT 1)",
        noon() + hours(23),
        noon() + hours(24)
    );
    app.sql_without_triggers(&move_one).await;
    enable_plan_logging(&app).await;
    let plans = plans_of_call(&app, noon() + minutes(8)).await;
    let count = |words: &str| plans.iter().filter(|plan| plan.contains(words)).count();
    assert_eq!(
        (
            count("-- Continues decisions.sql"),
            count("-- Of the bookings that the sweep examines"),
            count("-- Bookings whose start changed past")
        ),
        (2, 1, 1)
    );
    let most = plans
        .iter()
        .map(|plan| most_rows_scanned(plan))
        .fold(0.0, f64::max);
    assert!(
        most >= 100.0,
        "those that were moved are looked at, and the plans say how many rows they met: {most}"
    );
    for plan in &plans {
        assert!(most_rows_scanned(plan) < 2000.0, "{plan}");
    }
}

/// The greatest number of rows that one scan of a plan reads.
fn most_rows_scanned(plan: &str) -> f64 {
    let number = |line: &str, name: &str| -> Option<f64> {
        let digits = line
            .split_once(name)?
            .1
            .split(|one: char| one != '.' && !one.is_ascii_digit())
            .next()?;
        Some(digits.parse().unwrap())
    };
    let (mut most, mut loops) = (0.0_f64, 1.0);
    for line in plan.lines() {
        if let Some((_, actual)) = line.split_once("(actual ") {
            loops = number(actual, "loops=").unwrap();
            if line.contains(" Scan ") && !line.contains("CTE Scan") {
                most = most.max(number(actual, "rows=").unwrap() * loops);
            }
        } else if let Some(removed) = number(line, "Rows Removed by Filter: ") {
            most = most.max(removed * loops);
        }
    }
    most
}

/// Whether the log of the server can be read; reports a skipped test if not.
pub fn can_read_plans(app: &App) -> bool {
    let logs = cluster().log_of_database(&app.url).is_some();
    if !logs {
        skipped("the plans, which only a server of our own logs");
    }
    logs
}

/// The plans of all statements of a call, including those in triggers.
pub async fn plans_of_call(app: &App, now: DateTime<Utc>) -> Vec<String> {
    let before = cluster().log_of_database(&app.url).unwrap().len();
    app.run(now).await;
    let log = cluster().log_of_database(&app.url).unwrap();
    log[before..]
        .split("duration: ")
        .skip(1)
        .map(str::to_owned)
        .collect()
}

/// Years of rows of each kind, analyzed.
const YEARS_OF_ROWS: &str = "
    SET session_replication_role = replica;
    INSERT INTO bookings (status, scheduled_at, duration_minutes)
    SELECT (ARRAY['completed', 'cancelled', 'expired'])[n % 3 + 1], timestamptz '2026-02-01Z' - n * interval '1 minute', 60
      FROM generate_series(1, 60000) AS n;
    INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, starts_at, scheduled_at)
    SELECT id, CASE status WHEN 'completed' THEN 'reminder_sent' ELSE 'status_update' END, 'completed', '24h', 'customer', 'email',
           scheduled_at, scheduled_at - interval '1 day'
      FROM bookings;
    INSERT INTO booking_automation_state (booking_id, revision) SELECT id, 1 FROM bookings;
    INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
    SELECT id, booking_id, 'sent', id::text, now(), '{}' FROM booking_automation_events;
    INSERT INTO booking_automation_suppressions (address_hash, reason, message_id)
    SELECT sha256(n::text::bytea), 'bounced', '' FROM generate_series(1, 60000) AS n;
    INSERT INTO automation_runs (id, trigger, as_of, outcome, looked_through, rules_digest)
    SELECT gen_random_uuid(), 'cli', timestamptz '2026-02-01Z' - n * interval '1 minute', 'completed', '2026-01-01', ''
      FROM generate_series(1, 40000) AS n;
    SET session_replication_role = DEFAULT;
    ANALYZE";

/// Bookings for which a pass at `now` makes a step of each kind and decides reminders.
async fn create_work(app: &App, now: DateTime<Utc>, bookings: i32) {
    app.set_clock(noon() - hours(1000)).await;
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, created_at)
         SELECT $1, $2, $3, CASE WHEN n % 4 = 0 THEN 'in_progress' ELSE 'confirmed' END,
                $4::timestamptz + (ARRAY['-3 hours', '-1 minute', '23 hours', '-5 days'])[n % 4 + 1]::interval, 60, '2026-01-01'
           FROM generate_series(1, $5::int) AS n",
        &[&app.customer, &app.provider, &app.service, &now, &bookings],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_channels SET next_at = now()",
        &[],
    )
    .await;
}

/// No plan scans one of these tables. It may scan a partial index that holds only the few open
/// rows.
fn assert_no_table_is_scanned(plans: &[String], tables: &[&str]) {
    for plan in plans {
        for table in tables {
            assert!(!plan.contains(&format!("Seq Scan on {table} ")), "{plan}");
        }
    }
}

#[tokio::test]
async fn a_busy_call_scans_no_whole_table_with_a_constant_number_of_statements() {
    let mut app = App::new().await;
    if !can_read_plans(&app) {
        return;
    }
    app.db.batch_execute(YEARS_OF_ROWS).await.unwrap();
    app.run(noon()).await;
    enable_plan_logging(&app).await;

    // At this rate a call sends one message.
    app.env.insert("SEND_RATE", "0.01".to_owned());
    let mut counts = Vec::new();
    for (minute, bookings) in [(1, 20), (2, 200)] {
        let now = noon() + minutes(minute);
        create_work(&app, now, bookings).await;
        let plans = plans_of_call(&app, now).await;
        assert_no_table_is_scanned(
            &plans,
            &[
                "bookings",
                "booking_automation_events",
                "booking_automation_feedback",
                "booking_automation_suppressions",
                "booking_automation_state",
                "automation_runs",
            ],
        );
        for plan in &plans {
            assert!(most_rows_scanned(plan) < 2000.0, "{plan}");
        }
        counts.push(plans.len());
    }
    assert_eq!(counts[0], counts[1]);
    assert!(counts[0] > 10, "{counts:?}");

    // This call sends everything, sets the flags and deletes old rows.
    app.env.insert("SEND_RATE", "1000".to_owned());
    app.env.insert("RETENTION", "30d".to_owned());
    app.sql(
        "UPDATE booking_automation_channels SET next_at = now()",
        &[],
    )
    .await;
    app.sql("UPDATE automation_runs SET created_at = '2026-01-01'", &[])
        .await;
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET created_at = '2026-01-01' WHERE starts_at < '2026-01-01'",
    )
    .await;
    let plans = plans_of_call(&app, noon() + minutes(10)).await;
    assert!(
        plans
            .iter()
            .any(|plan| plan.contains("booking_automation_events_over")),
        "old events are deleted"
    );
    assert!(
        plans
            .iter()
            .any(|plan| plan.contains("booking_automation_events_flag_due")),
        "flags are set"
    );
    assert_no_table_is_scanned(
        &plans,
        &[
            "bookings",
            "booking_automation_events",
            "booking_automation_suppressions",
        ],
    );
    let left: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE status = 'pending'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_page_is_claimed_from_the_head_of_an_index_despite_a_large_backlog() {
    let app = App::new().await;
    if !can_read_plans(&app) {
        return;
    }
    // More rows than the statistics know of.
    app.sql(
        "ALTER TABLE booking_automation_events SET (autovacuum_enabled = false)",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, starts_at, scheduled_at, next_attempt_at)
         SELECT gen_random_uuid(), 'reminder_sent', 'pending', '24h', 'customer', 'email', $1::timestamptz + interval '23 hours', $1, now()
           FROM generate_series(1, 5000)",
        &[&noon()],
    )
    .await;
    enable_plan_logging(&app).await;
    let plans = plans_of_call(&app, noon()).await;
    let plans_of = |header: &str| -> Vec<_> {
        let plans = plans.iter().filter(|plan| plan.contains(header));
        plans.collect()
    };
    let (locks, claims) = (
        plans_of("-- Locks the messages of a page"),
        plans_of("-- Claims a page"),
    );
    assert!(!locks.is_empty() && !claims.is_empty());
    for plan in &locks {
        for index in ["queue", "led"] {
            let scan = format!("Index Scan using booking_automation_events_{index}");
            assert!(plan.contains(&scan), "{plan}");
        }
    }
    for plan in locks.into_iter().chain(claims) {
        assert!(
            !plan.contains("Bitmap"),
            "the whole backlog is collected and sorted: {plan}"
        );
        assert!(
            !plan.contains("Seq Scan on booking_automation_events"),
            "{plan}"
        );
    }
}

/// Makes the server log every plan of later sessions of the app's database.
pub async fn enable_plan_logging(app: &App) {
    let name = app.url.rsplit_once('/').unwrap().1;
    app.db
        .batch_execute(&format!(
            "ALTER DATABASE {name} SET session_preload_libraries = 'auto_explain';
             ALTER DATABASE {name} SET auto_explain.log_min_duration = 0;
             ALTER DATABASE {name} SET auto_explain.log_analyze = on;
             ALTER DATABASE {name} SET auto_explain.log_timing = off;
             ALTER DATABASE {name} SET auto_explain.log_nested_statements = on"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_warm_session_moves_100_000_overdue_bookings_in_bounded_steps() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes)
         SELECT $1, 'confirmed', $2::timestamptz - n * interval '1 millisecond', 120 FROM generate_series(1, 100000) AS n",
        &[&app.customer, &noon()],
    )
    .await;
    enable_plan_logging(&app).await;
    // One process with one session: idle passes, and then the passes with work.
    let (database, settings) = database_and_settings(&app.url);
    let mut steps = Vec::new();
    let idle = noon() - hours(2);
    for as_of in [
        idle,
        idle,
        idle,
        idle,
        idle,
        idle,
        noon(),
        noon() + minutes(1),
        noon() + minutes(2),
    ] {
        let call = call_at(as_of);
        let Pass::Committed(committed) = pass::run(&database, &settings, &Trigger::Cli, &call)
            .await
            .unwrap()
        else {
            panic!("the pass was skipped")
        };
        steps.push((
            committed.work.transitions.started,
            committed.work.transitions.remaining,
        ));
    }
    assert_eq!(steps[6..], [(50_000, 50_000), (50_000, 0), (0, 0)]);
    assert!(steps[..6].iter().all(|step| *step == (0, 0)));

    match cluster().log_of_database(&app.url) {
        None => skipped("the plans, which only a server of our own logs"),
        Some(log) => assert_plans_of_bulk_steps(&log),
    }
    let audited: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE event_type = 'status_update'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(audited, 100_000);
    let most_overdue_first: bool = app
        .one(
            "SELECT max(b.scheduled_at) FILTER (WHERE e.executed_at = $1) < min(b.scheduled_at) FILTER (WHERE e.executed_at > $1)
               FROM bookings b JOIN booking_automation_events e ON e.booking_id = b.id",
            &[&noon()],
        )
        .await
        .get(0);
    assert!(most_overdue_first);
}

/// The trigger's cached plan joins by hash, and the candidates come from an index.
fn assert_plans_of_bulk_steps(log: &str) {
    // The text after an ERROR is not a plan: a statement that timed out is repeated with fewer
    // rows.
    let plans = log
        .split("duration: ")
        .filter_map(|logged| logged.split("ERROR: ").next());
    let plans: Vec<&str> = plans.filter(|plan| plan.contains("Query Text:")).collect();
    let plans_with = |text: &str| {
        plans
            .iter()
            .filter(|plan| plan.contains(text))
            .copied()
            .collect::<Vec<_>>()
    };
    let audits = plans_with("changed AS MATERIALIZED");
    assert!(audits.len() >= 2);
    for plan in audits.iter().filter(|plan| plan.contains("Insert on")) {
        assert!(!plan.contains("Nested Loop"), "{plan}");
    }
    let candidates = plans_with("set_config('booking_automation.due'");
    let starts: Vec<_> = candidates
        .into_iter()
        .filter(|plan| plan.contains("b.status = 'confirmed' AND b.scheduled_at <= $1"))
        .collect();
    assert!(starts.len() >= 2);
    for plan in starts {
        let (_, plan) = plan.split_once("CTE candidate").unwrap();
        assert!(
            plan.contains("booking_automation_confirmed_start"),
            "{plan}"
        );
    }
}
