//! Amounts of money for people to read, and what is refunded.

use iso_currency::Currency;

use crate::messages::facts::{MoneyUnit, RefundFacts};
use crate::messages::languages::{Language, TextError};
use crate::messages::phrases::Phrases;
use crate::messages::plain_text::isolated;

/// A decimal number without a sign: the digits before and after the point.
struct Decimal {
    whole: String,
    fraction: String,
}

impl Decimal {
    /// `None`: not a number, or one of more digits than any price has.
    fn parse(text: &str) -> Option<Self> {
        const LONGEST: usize = 40;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || text.len() > LONGEST || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        Some(Self {
            whole: if whole.is_empty() { "0" } else { whole }.to_owned(),
            fraction: fraction.trim_end_matches('0').to_owned(),
        })
    }

    /// Divided by ten to the power of `digits`. `None`: it is not a whole number.
    fn of_minor_units(self, digits: usize) -> Option<Self> {
        if !self.fraction.is_empty() {
            return None;
        }
        let padded = format!("{:0>width$}", self.whole, width = digits + 1);
        let (whole, fraction) = padded.split_at(padded.len() - digits);
        Self::parse(&format!("{whole}.{fraction}"))
    }

    fn is_zero(&self) -> bool {
        self.whole == "0" && self.fraction.is_empty()
    }

    /// With at least these digits after the point, separated as the language does.
    fn write(&self, language: &Language, digits: usize) -> Result<String, TextError> {
        let grouped_from: usize = language.text("grouped-from", &[])?.parse().unwrap_or(4);
        let mut written = match self.whole.len() < grouped_from {
            true => self.whole.clone(),
            false => {
                let groups: Vec<_> = self.whole.as_bytes().rchunks(3).rev().collect();
                let groups: Vec<_> = groups.into_iter().map(String::from_utf8_lossy).collect();
                groups.join(&language.text("group-separator", &[])?)
            }
        };
        if digits > 0 || !self.fraction.is_empty() {
            written += &language.text("decimal-separator", &[])?;
            written += &format!("{:0<digits$}", self.fraction);
        }
        Ok(written)
    }
}

/// An amount, in euros, dollars and the like.
struct Money {
    amount: Decimal,
    /// `None`: not known. Then the number stands alone.
    currency: Option<Currency>,
}

impl Money {
    /// `None`: the amount is not a number, or its unit is that of a currency that is not known.
    fn parse(amount: &str, refund: &RefundFacts) -> Option<Self> {
        let amount = Decimal::parse(amount)?;
        let currency = refund.currency.as_deref().and_then(Currency::from_code);
        let amount = match refund.unit {
            Some(MoneyUnit::Minor) => amount.of_minor_units(currency?.exponent()?.into())?,
            Some(MoneyUnit::Major) | None => amount,
        };
        Some(Self { amount, currency })
    }

    fn write(&self, language: &Language) -> Result<String, TextError> {
        let Some(currency) = self.currency else {
            let amount = self
                .amount
                .write(language, self.amount.fraction.len().max(2))?;
            return Ok(isolated(language, amount));
        };
        let amount = self
            .amount
            .write(language, currency.exponent().unwrap_or(2).into())?;
        let sign = language.text("currency-sign", &[("currency", currency.code().into())])?;
        // CLDR: a sign of letters is set apart from the number.
        let pattern = match sign.ends_with(char::is_alphabetic) {
            true => "money-in-letters",
            false => "money",
        };
        let money = language.text(pattern, &[("sign", sign.into()), ("amount", amount.into())])?;
        Ok(isolated(language, money))
    }
}

/// A sentence. `None`: it is not known, or nothing was to be paid.
pub(crate) fn write_refund(
    phrases: &Phrases<'_>,
    refund: &RefundFacts,
) -> Result<Option<String>, TextError> {
    let language = phrases.language;
    let money = |amount: &Option<String>| Money::parse(amount.as_deref()?, refund);
    let (Some(amount), Some(total)) = (money(&refund.amount), money(&refund.total)) else {
        return write_percentage(phrases, refund);
    };
    if total.amount.is_zero() {
        return Ok(None);
    }
    if amount.amount.is_zero() {
        return phrases.write("refund-none", &[]).map(Some);
    }
    let (amount, total) = (amount.write(language)?, total.write(language)?);
    let text = match amount == total {
        true => "refund-full",
        false => "refund-part",
    };
    let variables = [("amount", amount.into()), ("total", total.into())];
    phrases.write(text, &variables).map(Some)
}

/// The part of a price whose amount is not known.
fn write_percentage(
    phrases: &Phrases<'_>,
    refund: &RefundFacts,
) -> Result<Option<String>, TextError> {
    let Some(percent) = Decimal::parse(&refund.percent) else {
        return Ok(None);
    };
    if percent.is_zero() {
        return phrases.write("refund-none", &[]).map(Some);
    }
    let number = percent.write(phrases.language, 0)?;
    let percent = phrases
        .language
        .text("percent", &[("number", number.into())])?;
    let percent = isolated(phrases.language, percent);
    phrases
        .write("refund-percentage", &[("percent", percent.into())])
        .map(Some)
}
