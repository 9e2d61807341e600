//! What a booking's price means: its currency, the unit that its column counts, and with how many
//! digits a part of it is rounded. What cannot be known is refused with the setting that says it.

use iso_currency::Currency;
use serde::Serialize;

use crate::bookings::cancellation::tiers::{LONGEST_AMOUNT, RefundUndetermined, is_amount};
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// The unit that `bookings.total_price` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// Cents, pence, fils: amounts are whole numbers.
    Minor,
    /// Euros, pounds, dinars.
    Major,
}

/// What the settings say of prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoneySettings {
    /// The currency of bookings that name none.
    pub(crate) currency: Option<Currency>,
    /// The unit of the column of prices.
    pub(crate) unit: Option<PriceUnit>,
}

impl MoneySettings {
    /// Reads `CURRENCY` and `PRICE_UNIT`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let currency = read_or(
            lookup,
            "CURRENCY",
            None,
            |code| currency_with_digits(code).map(|(currency, _)| Some(currency)),
            "the code of a currency with a minor unit in ISO 4217, such as EUR",
        )?;
        let unit = read_or(lookup, "PRICE_UNIT", None, parse_unit, "minor or major")?;
        Ok(Self { currency, unit })
    }
}

fn parse_unit(text: &str) -> Option<Option<PriceUnit>> {
    match text.to_ascii_lowercase().as_str() {
        "minor" => Some(Some(PriceUnit::Minor)),
        "major" => Some(Some(PriceUnit::Major)),
        _ => None,
    }
}

/// A currency and the digits of its minor unit (ISO 4217, "Minor unit"). `None`: the code is not in
/// ISO 4217, or has no minor unit there, such as gold.
fn currency_with_digits(code: &str) -> Option<(Currency, i32)> {
    let currency = Currency::from_code(&code.trim().to_ascii_uppercase())?;
    Some((currency, currency.exponent()?.into()))
}

/// A booking's price as the database has it.
pub(crate) struct StoredPrice {
    /// Whether `bookings` has a column `total_price`.
    pub(crate) has_column: bool,
    /// Whether that column holds whole numbers only.
    pub(crate) is_whole: bool,
    /// The JSON type of the value.
    pub(crate) json_type: Option<String>,
    pub(crate) text: Option<String>,
    /// The booking's own `currency`.
    pub(crate) currency: Option<String>,
}

/// A price of which a part can be calculated.
#[derive(Clone, Debug)]
pub(crate) struct Price {
    /// `None`: the booking has none.
    pub(crate) total: Option<String>,
    /// The digits after the point of an amount; `None`: two, or those of the total if it has more.
    pub(crate) digits: Option<i32>,
    pub(crate) currency: Option<&'static str>,
    pub(crate) unit: Option<PriceUnit>,
}

impl StoredPrice {
    /// What a part of the price is rounded to.
    pub(crate) fn price(self, settings: MoneySettings) -> Result<Price, RefundUndetermined> {
        let own_currency = self.currency.clone();
        let (is_whole, total) = (self.is_whole, self.total()?);
        let Some(amount) = &total else {
            return Ok(Price {
                total: None,
                digits: None,
                currency: None,
                unit: None,
            });
        };
        let is_free = amount.bytes().all(|byte| b"0.".contains(&byte));
        let unit = settings.unit;
        let (currency, digits) = match unit {
            Some(PriceUnit::Minor) => {
                whole_number(amount)?;
                let currency = currency_of(own_currency, settings.currency);
                (currency.ok().flatten(), Some(0))
            }
            None if is_whole && !is_free => return Err(no_unit()),
            Some(PriceUnit::Major) | None => {
                let currency = currency_of(own_currency, settings.currency)?;
                if currency.is_none() && is_whole && !is_free {
                    return Err(no_currency());
                }
                (currency, currency.map(|(_, digits)| digits))
            }
        };
        Ok(Price {
            total,
            digits,
            currency: currency.map(|(currency, _)| currency.code()),
            unit,
        })
    }

    /// The price: its column as JSON.
    fn total(self) -> Result<Option<String>, RefundUndetermined> {
        match (self.json_type.as_deref(), self.text) {
            _ if !self.has_column => Err(RefundUndetermined::Setup(
                "bookings has no column total_price, so no refund can be calculated: create \
                 booking_automation_amount_paid(bookings)"
                    .into(),
            )),
            (_, None) => Ok(None),
            (Some("number"), Some(total)) if is_amount(&total) => Ok(Some(total)),
            (_, Some(total)) => Err(RefundUndetermined::Data(format!(
                "the booking's price, {}, is not an amount that can be refunded in part",
                shortened(&total)
            ))),
        }
    }
}

/// The booking's own currency, else that of the settings. An empty text names none.
fn currency_of(
    own: Option<String>,
    default: Option<Currency>,
) -> Result<Option<(Currency, i32)>, RefundUndetermined> {
    match own.filter(|code| !code.trim().is_empty()) {
        None => Ok(default.and_then(|currency| currency_with_digits(currency.code()))),
        Some(code) => match currency_with_digits(&code) {
            Some(known) => Ok(Some(known)),
            None => Err(RefundUndetermined::Data(format!(
                "the booking's currency, {}, is not a currency with a minor unit in ISO 4217, so \
                 it is not known to which digit a refund is rounded: correct it",
                shortened(&code)
            ))),
        },
    }
}

fn whole_number(total: &str) -> Result<(), RefundUndetermined> {
    let fraction = total.split_once('.').map_or("", |(_, fraction)| fraction);
    match fraction.bytes().all(|digit| digit == b'0') {
        true => Ok(()),
        false => Err(RefundUndetermined::Data(format!(
            "the booking's price, {total}, is not a whole number, although the setting \
             PRICE_UNIT is minor"
        ))),
    }
}

fn no_unit() -> RefundUndetermined {
    RefundUndetermined::Setup(
        "bookings.total_price, or another column with what was paid, holds whole numbers, and the \
         program does not guess what they count: set PRICE_UNIT=minor if 4999 is 49.99, or \
         PRICE_UNIT=major if it is 4999.00"
            .into(),
    )
}

fn no_currency() -> RefundUndetermined {
    RefundUndetermined::Setup(
        "bookings.total_price, or another column with what was paid, holds whole numbers of a \
         major unit (PRICE_UNIT=major), and the \
         program does not guess how it is divided: set CURRENCY, or the booking's own currency"
            .into(),
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_AMOUNT).collect()
}
