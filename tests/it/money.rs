//! Refunds in currencies of any minor unit, and in columns that count whole numbers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, noon};
use crate::client::Answer;
use crate::http::Server;
use crate::status::{ask, support};

/// A price, as the user's database and the settings describe it.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// The type of `total_price`.
    column: &'static str,
    /// The booking's own currency, as an SQL literal.
    currency: &'static str,
    /// The settings `CURRENCY` and `PRICE_UNIT`.
    settings: (&'static str, &'static str),
    total: &'static str,
}

/// A price in a column with decimals, in a database whose settings say nothing.
const fn decimal(currency: &'static str, total: &'static str) -> Case {
    Case {
        column: "numeric",
        currency,
        settings: ("", ""),
        total,
    }
}

/// A price in a column of whole numbers.
const fn whole(column: &'static str, settings: (&'static str, &'static str)) -> Case {
    Case {
        column,
        currency: "NULL",
        settings,
        total: "4999",
    }
}

/// A database with a currency for each booking, in which half of the price is refunded.
struct Shop {
    app: App,
    booking: Uuid,
}

impl Shop {
    async fn open() -> Self {
        let app = App::new().await;
        app.db
            .batch_execute(
                "CREATE DOMAIN yen AS integer CHECK (VALUE >= 0);
                 CREATE DOMAIN price AS yen;
                 ALTER TABLE bookings ADD currency text;
                 INSERT INTO booking_automation_cancellation_policies (applies_to, name, after_percent)
                 VALUES ('provider', 'half', 50), ('staff', 'all', 100)",
            )
            .await
            .unwrap();
        let booking = app.confirmed(noon() + hours(30)).await;
        Self { app, booking }
    }

    /// Sets the price, and starts a server with the settings.
    async fn server(&mut self, case: Case) -> Server {
        let Case {
            column,
            currency,
            total,
            ..
        } = case;
        self.app
            .db
            .batch_execute(&format!(
                "DROP FUNCTION IF EXISTS booking_automation_amount_paid(bookings);
                 UPDATE bookings SET status = 'confirmed', total_price = NULL, cancelled_at = NULL;
                 ALTER TABLE bookings ALTER total_price TYPE {column};
                 UPDATE bookings SET total_price = {total}, currency = {currency}"
            ))
            .await
            .unwrap();
        let migrated = self.app.call(&["migrate", "--no-probe"]).await;
        assert!(migrated.success, "{}", migrated.stderr);
        let settings = BTreeMap::from([
            ("CURRENCY", case.settings.0.to_owned()),
            ("PRICE_UNIT", case.settings.1.to_owned()),
        ]);
        self.app.env.extend(settings);
        support(&mut self.app, noon()).await
    }

    async fn cancel(&self, server: &Server, role: &str, expected: Option<&str>) -> Answer {
        let body = json!({"actor": {"role": role}, "expected_refund": expected}).to_string();
        let path = format!("/bookings/{}/cancellation", self.booking);
        ask(server, "POST", &path, &[], body.as_bytes()).await
    }

    /// The provider's option, as it is announced.
    async fn option(&self, server: &Server, role: &str) -> Value {
        let path = format!("/bookings/{}/cancellation", self.booking);
        let options = ask(server, "GET", &path, &[], b"").await.json();
        let options = options["options"].as_array().unwrap();
        let wanted = |option: &&Value| option["role"] == role && option["no_show"] == false;
        options.iter().find(wanted).unwrap().clone()
    }

    /// Asserts what is announced, done and recorded: amount, what is kept, currency and unit.
    async fn assert_refund(&mut self, case: Case, role: &str, expected: [Value; 4]) {
        let server = self.server(case).await;
        let figures = |refund: &Value| {
            ["amount", "kept", "currency", "unit"].map(|member| refund[member].clone())
        };
        let option = self.option(&server, role).await;
        assert_eq!(figures(&option["refund"]), expected, "{case:?}: {option}");
        let amount = expected[0].as_str();
        let answer = self.cancel(&server, role, amount).await;
        assert_eq!(answer.status, 200, "{case:?}: {answer:?}");
        assert_eq!(figures(&answer.json()["refund"]), expected, "{case:?}");
        let sql = "SELECT event_data -> 'refund' FROM booking_automation_events ORDER BY seq DESC LIMIT 1";
        let recorded: Value = self.app.one(sql, &[]).await.get(0);
        assert_eq!(figures(&recorded), expected, "{case:?}");
        // What is refunded can be written back, and both parts are the whole.
        let sql = "SELECT ($1::text::numeric + $2::text::numeric) = total_price FROM bookings";
        let parts = [&expected[0], &expected[1]].map(|part| part.as_str().map(str::to_owned));
        let adds_up = self.app.one(sql, &[&parts[0], &parts[1]]).await;
        assert_ne!(adds_up.get::<_, Option<bool>>(0), Some(false), "{case:?}");
    }

    async fn assert_refused(&mut self, case: Case, status: u16, told: &[&str]) {
        let server = self.server(case).await;
        let option = self.option(&server, "provider").await;
        let answer = self.cancel(&server, "provider", None).await;
        assert_eq!(answer.status, status, "{case:?}: {answer:?}");
        assert_eq!(option["allowed"], false, "{case:?}: {option}");
        for told in told {
            for text in [&option["text"], &answer.json()["detail"]] {
                assert!(text.as_str().unwrap().contains(told), "{case:?}: {text}");
            }
        }
        assert_eq!(self.app.status(self.booking).await, "confirmed", "{case:?}");
    }
}

#[tokio::test]
async fn the_digits_of_a_refund_follow_the_currency() {
    let mut shop = Shop::open().await;
    for (case, amount, kept, currency) in [
        (decimal("'JPY'", "3333"), "1667", "1666", "JPY"),
        (decimal("'jpy '", "3333.00"), "1667", "1666", "JPY"),
        (decimal("'KRW'", "1"), "1", "0", "KRW"),
        (decimal("'KWD'", "10.005"), "5.003", "5.002", "KWD"),
        (decimal("'BHD'", "3"), "1.500", "1.500", "BHD"),
        (decimal("'CLF'", "1.0001"), "0.5001", "0.5000", "CLF"),
        (decimal("'EUR'", "49.99"), "25.00", "24.99", "EUR"),
        (decimal("'hrk'", "0.01"), "0.01", "0.00", "HRK"),
        // The price has more digits than the money has.
        (decimal("'JPY'", "3333.5"), "1667", "1666.5", "JPY"),
    ] {
        let expected = [json!(amount), json!(kept), json!(currency), json!(null)];
        shop.assert_refund(case, "provider", expected).await;
    }
    // A refund never exceeds the price.
    let expected = [json!("3333"), json!("0.5"), json!("JPY"), json!(null)];
    shop.assert_refund(decimal("'JPY'", "3333.5"), "admin", expected)
        .await;
}

#[tokio::test]
async fn a_booking_without_a_currency_has_that_of_the_settings() {
    let mut shop = Shop::open().await;
    let with_setting = |currency, total| Case {
        settings: ("jpy", ""),
        ..decimal(currency, total)
    };
    for (case, amount, kept, currency) in [
        (with_setting("NULL", "3333"), "1667", "1666", json!("JPY")),
        (with_setting("' '", "3333"), "1667", "1666", json!("JPY")),
        // The booking's own currency decides.
        (
            with_setting("'EUR'", "3333"),
            "1666.50",
            "1666.50",
            json!("EUR"),
        ),
        // Without any, it is two digits, or those of the price.
        (decimal("NULL", "3333"), "1666.50", "1666.50", json!(null)),
        (decimal("''", "10.005"), "5.003", "5.002", json!(null)),
    ] {
        let expected = [json!(amount), json!(kept), currency, json!(null)];
        shop.assert_refund(case, "provider", expected).await;
    }
    // A table without that column.
    shop.app
        .sql("ALTER TABLE bookings DROP currency", &[])
        .await;
    shop.app.env.insert("CURRENCY", "KWD".to_owned());
    let server = support(&mut shop.app, noon()).await;
    shop.app
        .sql(
            "UPDATE bookings SET status = 'confirmed', total_price = 10.005",
            &[],
        )
        .await;
    let option = shop.option(&server, "provider").await;
    assert_eq!(option["refund"]["amount"], "5.003", "{option}");
}

#[tokio::test]
async fn an_unknown_currency_is_refused_with_its_code() {
    let mut shop = Shop::open().await;
    for code in ["XXQ", "EURO", "€", "points", "XAU", "1"] {
        let currency: &'static str = format!("'{code}'").leak();
        for settings in [("", ""), ("EUR", ""), ("EUR", "major")] {
            let case = Case {
                settings,
                ..decimal(currency, "49.99")
            };
            let told = format!("the booking's currency, {code}, is not a currency");
            shop.assert_refused(case, 409, &[&told, "ISO 4217"]).await;
        }
    }
}

#[tokio::test]
async fn a_price_in_whole_numbers_needs_its_unit() {
    const COLUMNS: [&str; 6] = [
        "integer",
        "smallint",
        "bigint",
        "numeric(10)",
        "price",
        "numeric(12, 0)",
    ];
    let mut shop = Shop::open().await;
    for column in COLUMNS {
        let told = ["PRICE_UNIT=minor", "PRICE_UNIT=major", "total_price"];
        shop.assert_refused(whole(column, ("EUR", "")), 503, &told)
            .await;
        let expected = [json!("2500"), json!("2499"), json!("EUR"), json!("minor")];
        shop.assert_refund(whole(column, ("EUR", "minor")), "provider", expected)
            .await;
    }
    for currency in ["", "JPY"] {
        shop.assert_refused(whole("integer", (currency, "")), 503, &["PRICE_UNIT"])
            .await;
    }
    shop.assert_refused(whole("integer", ("", "major")), 503, &["set CURRENCY"])
        .await;
    for (settings, amount, kept) in [
        (("", "MINOR"), "2500", "2499"),
        (("EUR", "major"), "2499.50", "2499.50"),
        (("JPY", "major"), "2500", "2499"),
        (("KWD", "major"), "2499.500", "2499.500"),
    ] {
        let (currency, unit) = settings;
        let currency = match currency {
            "" => json!(null),
            code => json!(code),
        };
        let unit = json!(unit.to_lowercase());
        let expected = [json!(amount), json!(kept), currency, unit];
        shop.assert_refund(whole("integer", settings), "provider", expected)
            .await;
    }
}

#[tokio::test]
async fn what_costs_nothing_needs_no_unit_and_decimals_are_no_minor_units() {
    let mut shop = Shop::open().await;
    let null = json!(null);
    let price = |column, unit, total| Case {
        column,
        currency: "NULL",
        settings: ("", unit),
        total,
    };
    let none = [null.clone(), null.clone(), null.clone(), null.clone()];
    shop.assert_refund(price("integer", "", "NULL"), "provider", none)
        .await;
    let nothing = [json!("0.00"), json!("0.00"), null.clone(), null.clone()];
    shop.assert_refund(price("integer", "", "0"), "provider", nothing)
        .await;
    let cents = [json!("2500"), json!("2499"), null.clone(), json!("minor")];
    shop.assert_refund(price("numeric(12, 2)", "minor", "4999"), "provider", cents)
        .await;
    let told = ["4999.50, is not a whole number", "PRICE_UNIT"];
    shop.assert_refused(price("numeric(12, 2)", "minor", "4999.5"), 409, &told)
        .await;
    // A unit decides without a currency.
    let odd = Case {
        currency: "'points'",
        ..price("integer", "minor", "4999")
    };
    let points = [json!("2500"), json!("2499"), null, json!("minor")];
    shop.assert_refund(odd, "provider", points).await;
}

#[tokio::test]
async fn the_sentence_of_a_refund_names_the_money() {
    let mut shop = Shop::open().await;
    for (settings, told) in [
        (("", "minor"), "2500 of 4999 minor units (50 %)"),
        (("EUR", "minor"), "2500 of 4999 minor units of EUR (50 %)"),
        (("EUR", "major"), "2499.50 of 4999.00 EUR (50 %)"),
    ] {
        let server = shop.server(whole("integer", settings)).await;
        let option = shop.option(&server, "provider").await;
        let text = option["refund"]["text"].as_str().unwrap();
        assert!(text.contains(told), "{text}");
    }
}
