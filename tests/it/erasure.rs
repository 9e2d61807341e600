//! Erasing a person with many messages.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, noon};
use crate::client::Answer;
use crate::http::Server;
use crate::status::{ask, support};

/// Creates bookings, each with a sent reminder to the provider.
async fn add_messages(app: &App, bookings: i32) {
    let sql = format!(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at)
         SELECT '{}', '{}', '{}', 'completed', '{}' FROM generate_series(1, {bookings});
         INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, revision, message_id)
         SELECT id, 'reminder_sent', '24h', 'provider', 'email', 'completed', 1, 'm-' || id FROM bookings",
        app.customer,
        app.provider,
        app.service,
        noon() - hours(100),
    );
    app.sql_without_triggers(&sql).await;
}

/// Asks to erase the provider, with an `Idempotency-Key`.
async fn erase(app: &App, server: &Server, key: &str) -> Answer {
    let path = format!("/people/{}/messages", app.provider);
    let key = [("Idempotency-Key", key.as_bytes())];
    ask(server, "DELETE", &path, &key, b"").await
}

/// What an answer counts.
fn counts(answer: &Answer) -> [Value; 3] {
    let erased = answer.json();
    ["messages", "under_way", "remaining"].map(|count| erased[count].clone())
}

/// How many events each transaction erased.
async fn records(app: &App) -> Vec<String> {
    let sql =
        "SELECT events::text FROM booking_automation_erasures WHERE kind = 'person' ORDER BY id";
    app.column(sql, &[]).await
}

async fn messages_left(app: &App) -> i64 {
    let sql = "SELECT count(*) FROM booking_automation_events WHERE message_id IS NOT NULL";
    app.one(sql, &[]).await.get(0)
}

/// After the first transaction that erases, the others fail.
async fn interrupt(app: &App) {
    app.db
        .batch_execute(
            "CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                 IF EXISTS (SELECT FROM public.booking_automation_erasures) THEN
                     RAISE EXCEPTION 'a lock was not released' USING ERRCODE = 'lock_not_available';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER interrupt BEFORE INSERT ON booking_automation_erasures FOR EACH ROW EXECUTE FUNCTION interrupt()",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn an_erasure_in_parts_goes_on_with_the_same_key_and_its_counts_add_up() {
    let mut app = App::new().await;
    add_messages(&app, 1_500).await;
    let server = support(&mut app, noon()).await;
    interrupt(&app).await;
    let answer = erase(&app, &server, "k").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(counts(&answer), [json!(1_000), json!(0), json!(500)]);
    assert_eq!(
        messages_left(&app).await,
        500,
        "the first part is committed"
    );
    let refused = erase(&app, &server, "k").await;
    assert_eq!(refused.status, 409, "nothing could be done: {refused:?}");

    app.sql("DROP TRIGGER interrupt ON booking_automation_erasures", &[])
        .await;
    let other = erase(&app, &server, "k2").await;
    assert_eq!(
        counts(&other),
        [json!(500), json!(0), json!(0)],
        "another key counts what it erased"
    );
    let answer = erase(&app, &server, "k").await;
    assert_eq!(counts(&answer), [json!(1_000), json!(0), json!(0)]);
    assert_eq!(messages_left(&app).await, 0);
    assert_eq!(records(&app).await, ["1000", "500", "0"]);
    assert_eq!(erase(&app, &server, "k").await, answer);
    assert_eq!(erase(&app, &server, "k2").await, other);
    assert_eq!(
        records(&app).await.len(),
        3,
        "a complete one is not repeated"
    );
}

#[tokio::test]
async fn a_persons_choices_are_erased_although_their_messages_cannot_be() {
    let mut app = App::new().await;
    add_messages(&app, 3).await;
    app.sql(
        "INSERT INTO booking_automation_preferences (person_id, language) VALUES ($1::uuid::text, 'it')",
        &[&app.provider],
    )
    .await;
    let server = support(&mut app, noon()).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'a lock was not released' USING ERRCODE = 'lock_not_available'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON booking_automation_erasures FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let path = format!("/people/{}", app.provider);
    let key = [("Idempotency-Key", b"k".as_slice())];
    for _ in 0..2 {
        let refused = ask(&server, "DELETE", &path, &key, b"").await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(!refused.body.contains("no messages"), "{refused:?}");
        let left = "SELECT count(language) FROM booking_automation_preferences";
        assert_eq!(app.one(left, &[]).await.get::<_, i64>(0), 0);
        assert_eq!(messages_left(&app).await, 3);
    }
    app.sql("DROP TRIGGER refuse ON booking_automation_erasures", &[])
        .await;
    let answer = ask(&server, "DELETE", &path, &key, b"").await;
    assert_eq!(counts(&answer), [json!(3), json!(0), json!(0)]);
    assert_eq!(answer.json()["choices"], 1);
    assert_eq!(ask(&server, "DELETE", &path, &key, b"").await, answer);
}

#[tokio::test]
async fn the_same_key_erases_a_message_that_was_being_sent() {
    let mut app = App::new().await;
    add_messages(&app, 3).await;
    let sending = "UPDATE booking_automation_events SET status = 'sending', lease_until = now() + interval '1 hour'
                    WHERE id = (SELECT id FROM booking_automation_events LIMIT 1)";
    app.sql_without_triggers(sending).await;
    let server = support(&mut app, noon()).await;
    for _ in 0..2 {
        let answer = erase(&app, &server, "k").await;
        assert_eq!(counts(&answer), [json!(2), json!(1), json!(0)]);
    }
    let sent = "UPDATE booking_automation_events SET status = 'completed', lease_until = NULL WHERE status = 'sending'";
    app.sql(sent, &[]).await;
    for _ in 0..2 {
        let answer = erase(&app, &server, "k").await;
        assert_eq!(counts(&answer), [json!(3), json!(0), json!(0)]);
    }
    assert_eq!(records(&app).await, ["2", "0", "1"]);
}

#[tokio::test]
async fn one_booking_with_thousands_of_messages_is_erased_in_parts_in_one_call() {
    let mut app = App::new().await;
    add_messages(&app, 1).await;
    let more = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, revision, message_id)
                SELECT booking_id, 'reminder_sent', rule, audience, channel, 'completed', n, 'm-' || n
                  FROM booking_automation_events, generate_series(2, 5200) AS n";
    app.sql_without_triggers(more).await;
    let sending = "UPDATE booking_automation_events SET status = 'sending', lease_until = now() + interval '1 hour' WHERE revision <= 100";
    app.sql_without_triggers(sending).await;
    let server = support(&mut app, noon()).await;
    let answer = erase(&app, &server, "k").await;
    assert_eq!(counts(&answer), [json!(5_100), json!(100), json!(0)]);
    assert_eq!(messages_left(&app).await, 100);
    assert_eq!(records(&app).await, ["5000", "100"]);
}

#[tokio::test]
async fn concurrent_requests_with_one_key_erase_each_message_once() {
    let mut app = App::new().await;
    add_messages(&app, 3_500).await;
    // Requests to one instance get their turn one after the other.
    let servers = [
        support(&mut app, noon()).await,
        support(&mut app, noon()).await,
        support(&mut app, noon()).await,
    ];
    let requests = servers.iter().map(|server| erase(&app, server, "k"));
    for answer in futures_util::future::join_all(requests).await {
        assert!([200, 409].contains(&answer.status), "{answer:?}");
    }
    let answer = erase(&app, &servers[0], "k").await;
    assert_eq!(counts(&answer), [json!(3_500), json!(0), json!(0)]);
    let erased: i64 = app
        .one(
            "SELECT sum(events)::bigint FROM booking_automation_erasures",
            &[],
        )
        .await
        .get(0);
    assert_eq!((erased, messages_left(&app).await), (3_500, 0));
}

#[tokio::test]
async fn a_request_that_goes_on_holds_its_key_until_its_part_is_committed() {
    let mut app = App::new().await;
    add_messages(&app, 1_500).await;
    let server = support(&mut app, noon()).await;
    interrupt(&app).await;
    erase(&app, &server, "k").await;
    app.db
        .batch_execute(
            "CREATE OR REPLACE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 WHILE NOT pg_try_advisory_xact_lock(42) LOOP PERFORM pg_sleep(0.01); END LOOP;
                 RETURN NEW;
             END $$;
             SELECT pg_advisory_lock(42)",
        )
        .await
        .unwrap();
    let counts_of_another_instance = async {
        app.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')")
            .await;
        let update = "SET lock_timeout = '100ms'; UPDATE booking_automation_requests SET answer = answer || '{\"messages\": 0}'";
        let refused = app.db.batch_execute(update).await.unwrap_err();
        app.db
            .batch_execute("SELECT pg_advisory_unlock(42)")
            .await
            .unwrap();
        refused
    };
    let (answer, refused) = tokio::join!(erase(&app, &server, "k"), counts_of_another_instance);
    assert_eq!(refused.code().map(|code| code.code()), Some("55P03"));
    assert_eq!(counts(&answer), [json!(1_500), json!(0), json!(0)]);
}

#[tokio::test]
async fn the_audit_trail_stays_closed_between_the_parts_of_an_erasure() {
    let mut app = App::new().await;
    add_messages(&app, 1_500).await;
    let server = support(&mut app, noon()).await;
    interrupt(&app).await;
    erase(&app, &server, "k").await;
    let left =
        "UPDATE booking_automation_events SET event_data = '{}' WHERE message_id IS NOT NULL";
    let refused = app.db.execute(left, &[]).await.unwrap_err();
    assert!(
        refused
            .as_db_error()
            .unwrap()
            .message()
            .contains("the audit trail cannot be changed"),
        "{refused:?}"
    );
    let unknown = format!("/people/{}/messages", Uuid::new_v4());
    assert_eq!(ask(&server, "DELETE", &unknown, &[], b"").await.status, 404);
    assert_eq!(records(&app).await, ["1000"]);
}

#[tokio::test]
async fn an_erasure_is_not_complete_while_a_later_part_has_a_message_under_way() {
    let mut app = App::new().await;
    add_messages(&app, 1_001).await;
    // The last booking in the order of the parts, whatever it is: all but the first thousand of them.
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET status = 'sending', lease_until = now() + interval '1 hour', next_attempt_at = now() + interval '1 hour'
          WHERE booking_id = (SELECT id FROM bookings OFFSET 1000)",
    )
    .await;
    let server = support(&mut app, noon()).await;
    let answer = erase(&app, &server, "k").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(counts(&answer), [json!(1_000), json!(1), json!(0)]);
    app.sql("UPDATE booking_automation_events SET status = 'completed', lease_until = NULL, next_attempt_at = NULL WHERE status = 'sending'", &[])
        .await;
    let answer = erase(&app, &server, "k").await;
    assert_eq!(counts(&answer), [json!(1_001), json!(0), json!(0)]);
}

#[tokio::test]
async fn the_record_of_a_persons_sms_is_erased_with_their_messages() {
    let mut app = App::new().await;
    add_messages(&app, 3).await;
    // One is being sent, one is of another person; a digest is beside the bookings.
    let sql = "
        UPDATE booking_automation_events SET status = 'sending', lease_until = now() + interval '1 hour'
         WHERE id = (SELECT id FROM booking_automation_events ORDER BY id LIMIT 1);
        INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, revision, person_id)
        VALUES ('00000000-0000-0000-0000-000000000000', 'notification_sent', 'daily', 'provider', 'sms', 'completed', 0, '{provider}'),
               ('00000000-0000-0000-0000-000000000000', 'notification_sent', 'daily', 'customer', 'sms', 'completed', 0, '{customer}');
        INSERT INTO booking_automation_sms (event_id, address_hash, claimed_at)
        SELECT id, 'x', now() FROM booking_automation_events;
        INSERT INTO booking_automation_sms_replies (inbound_id, event_id, address_hash, meaning, said_at, answer, answer_id)
        SELECT gen_random_uuid(), event_id, 'x', 'other', now(), 'contact', gen_random_uuid() FROM booking_automation_sms;
        INSERT INTO booking_automation_sms (event_id, address_hash, claimed_at)
        SELECT answer_id, 'x', now() FROM booking_automation_sms_replies";
    let sql = sql
        .replace("{provider}", &app.provider.to_string())
        .replace("{customer}", &app.customer.to_string());
    app.sql_without_triggers(&sql).await;
    let server = support(&mut app, noon()).await;
    let left = "SELECT count(*)::text FROM booking_automation_sms";
    assert_eq!(app.column(left, &[]).await, ["10"]);
    let answer = erase(&app, &server, "k").await;
    assert_eq!(counts(&answer), [json!(3), json!(1), json!(0)]);
    assert_eq!(app.column(left, &[]).await, ["4"]);
    let left = "SELECT concat_ws(' ', e.status, e.audience) FROM booking_automation_sms_replies r
                  JOIN booking_automation_sms s ON s.event_id = r.answer_id
                  JOIN booking_automation_events e ON e.id = r.event_id ORDER BY 1";
    assert_eq!(
        app.column(left, &[]).await,
        ["completed customer", "sending provider"]
    );
    let left = "SELECT concat_ws(' ', e.status, e.audience) FROM booking_automation_sms s
                  JOIN booking_automation_events e ON e.id = s.event_id ORDER BY 1";
    assert_eq!(
        app.column(left, &[]).await,
        ["completed customer", "sending provider"]
    );
}
