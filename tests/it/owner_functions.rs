//! Databases on which the defaults of the owner's functions (`live.rs`) could fail, mislead or let others in.

use crate::app::{App, hours, noon};

/// Changes the user's tables, and migrates: the words of its log.
async fn change_and_migrate(app: &App, change: &str) -> String {
    app.db.batch_execute(change).await.unwrap();
    let said = app.call(&["migrate", "--no-probe"]).await;
    assert!(said.success, "{change}: {}", said.stderr);
    said.stderr
}

#[tokio::test]
async fn a_time_that_every_row_has_does_not_mark_it_as_deleted() {
    for change in [
        "ALTER TABLE bookings ADD deleted_at timestamptz NOT NULL DEFAULT 'infinity'",
        "ALTER TABLE users ADD deleted_at timestamp NOT NULL DEFAULT '0001-01-01'",
        "ALTER TABLE services ADD deleted_at date DEFAULT '9999-12-31'",
        "CREATE DOMAIN removal AS timestamptz DEFAULT 'infinity' NOT NULL; ALTER TABLE bookings ADD deleted_at removal",
    ] {
        let app = App::new().await;
        let said = change_and_migrate(&app, change).await;
        assert!(said.contains("deleted_at may mark deleted rows"), "{said}");
        let id = app.confirmed(noon()).await;
        app.run(noon()).await;
        assert_eq!(app.status(id).await, "in_progress", "{change}");
    }
}

#[tokio::test]
async fn columns_may_be_called_as_a_booking_is_in_our_statements() {
    for (change, status) in [
        (
            "ALTER TABLE bookings ADD b text, ADD booking text, ADD deleted_at timestamptz",
            "in_progress",
        ),
        (
            "ALTER TABLE services ADD booking boolean, ADD deleted_at timestamptz",
            "in_progress",
        ),
        (
            "ALTER TABLE users ADD booking uuid, ADD deleted_at timestamptz; UPDATE users SET deleted_at = now()",
            "confirmed",
        ),
    ] {
        let app = App::new().await;
        change_and_migrate(&app, change).await;
        let id = app.confirmed(noon()).await;
        let reminded_of = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        assert_eq!(app.status(id).await, status, "{change}");
        let is_reminded_of = !app.reminders(reminded_of).await.is_empty();
        assert_eq!(is_reminded_of, status == "in_progress", "{change}");
    }
}

#[tokio::test]
async fn a_booking_may_refer_to_deleted_people_by_a_narrower_type() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    let change = "
        DROP VIEW booking_automation_contacts;
        DELETE FROM booking_automation_migrations WHERE name = '06_contacts_view';
        ALTER TABLE bookings DROP customer_id, DROP provider_id, ADD customer_id integer DEFAULT 7, ADD provider_id smallint;
        DROP TABLE services, users CASCADE;
        CREATE TABLE users (id bigint PRIMARY KEY, email text, display_name text, timezone text, deleted_at timestamptz);
        CREATE TABLE services (id uuid PRIMARY KEY, title text);
        INSERT INTO users VALUES (7, 'gone@customers.example', 'Gone', 'UTC', now())";
    change_and_migrate(&app, change).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "confirmed");
}

#[tokio::test]
async fn a_default_that_this_role_could_not_run_is_refused_before_anything_is_changed() {
    for (change, words) in [
        (
            "ALTER TABLE users OWNER TO owner_stranger",
            "permission denied for table users",
        ),
        (
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "row-level security hides rows",
        ),
    ] {
        let mut app = App::new().await;
        app.db
            .batch_execute(&format!(
                "DO $$ BEGIN CREATE ROLE owner_stranger; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
                 DO $$ BEGIN CREATE ROLE owner_owner LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
                 GRANT CREATE ON SCHEMA public TO owner_owner;
                 ALTER TABLE bookings OWNER TO owner_owner;
                 ALTER TABLE users OWNER TO owner_owner;
                 GRANT ALL ON ALL TABLES IN SCHEMA public TO owner_owner;
                 ALTER FUNCTION booking_automation_is_live(bookings) OWNER TO owner_owner;
                 ALTER TABLE users ADD deleted_at timestamptz;
                 {change}"
            ))
            .await
            .unwrap();
        app.confirmed(noon()).await;
        let url = app.url.replace("postgres@", "owner_owner@");
        app.env.insert("DATABASE_URL", url);
        let said = app.call(&["migrate", "--no-probe"]).await;
        let refusal = "the booking_automation_is_live that migrate would create";
        assert!(
            !said.success && said.stderr.contains(refusal) && said.stderr.contains(words),
            "{}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn the_roles_of_passes_may_call_new_functions_where_default_privileges_do_not_let_them() {
    let app = App::new().await;
    let change = "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
                  DROP FUNCTION booking_automation_live_from(text, timestamptz)";
    change_and_migrate(&app, change).await;
    let may = "SELECT has_function_privilege('booking_automation_pass', p.oid, 'EXECUTE'),
                      has_function_privilege('pg_monitor', p.oid, 'EXECUTE')
                 FROM pg_proc p WHERE p.proname = 'booking_automation_live_from'";
    let row = app.one(may, &[]).await;
    assert_eq!((row.get(0), row.get(1)), (true, false));
    let id = app.confirmed(noon()).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "in_progress");
}

#[tokio::test]
async fn a_function_that_a_call_could_mean_as_well_is_refused() {
    for function in [
        "booking_automation_is_live(booking bookings, strict boolean DEFAULT true)",
        "booking_automation_amount_paid(VARIADIC bookings bookings[])",
        "booking_automation_is_live(booking record)",
    ] {
        let app = App::new().await;
        let create = format!(
            "CREATE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'"
        );
        app.db.batch_execute(&create).await.unwrap();
        let said = app.call(&["migrate"]).await;
        assert!(
            !said.success && said.stderr.contains("exists beside"),
            "{function}: {}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn what_a_stranger_put_in_place_of_ours_is_refused() {
    let table =
        "(status text PRIMARY KEY, before timestamptz NOT NULL, looked_at timestamptz NOT NULL)";
    for (change, words) in [
        (
            format!(
                "DROP TABLE booking_automation_not_live;
                 DELETE FROM booking_automation_migrations WHERE name = '18_not_live';
                 CREATE TABLE booking_automation_not_live {table};
                 ALTER TABLE booking_automation_not_live OWNER TO owner_stranger"
            ),
            "public.booking_automation_not_live exists and is not this program's: it belongs to owner_stranger",
        ),
        (
            "DROP FUNCTION booking_automation_live_from(text, timestamptz);
             CREATE FUNCTION booking_automation_live_from(of_status text, moment timestamptz) RETURNS timestamptz
                 LANGUAGE sql AS 'SELECT moment';
             ALTER FUNCTION booking_automation_live_from(text, timestamptz) OWNER TO owner_stranger"
                .to_owned(),
            "moment timestamp with time zone) belongs to owner_stranger",
        ),
    ] {
        let app = App::new().await;
        app.db
            .batch_execute(&format!(
                "DO $$ BEGIN CREATE ROLE owner_stranger; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
                 GRANT CREATE ON SCHEMA public TO owner_stranger;
                 {change}"
            ))
            .await
            .unwrap();
        let said = app.call(&["migrate"]).await;
        assert!(!said.success && said.stderr.contains(words), "{}", said.stderr);
    }
}

#[tokio::test]
async fn a_view_of_a_stranger_is_named() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "DO $$ BEGIN CREATE ROLE owner_stranger; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             GRANT CREATE ON SCHEMA public TO owner_stranger;
             ALTER VIEW booking_automation_contacts OWNER TO owner_stranger;
             REVOKE CREATE ON SCHEMA public FROM owner_stranger",
        )
        .await
        .unwrap();
    let said = app.call(&["check"]).await;
    let words = "booking_automation_contacts belongs to owner_stranger";
    assert!(said.stdout.contains(words), "{}", said.stdout);
}
