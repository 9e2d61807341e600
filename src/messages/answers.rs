//! What is texted back to somebody who answers an SMS.

use crate::messages::languages::{Language, TextError};
use crate::messages::plain_text::without_typography;

/// Where a booking is cancelled.
///
/// # Errors
/// When a text of the language files fails, which no input can cause.
pub(crate) fn link_answer(link: &str, language: &'static Language) -> Result<String, TextError> {
    let text = language.text("cancel-booking-sms", &[])?;
    Ok(format!("{}: {link}", without_typography(&text)))
}

/// Whom to contact.
///
/// # Errors
/// When a text of the language files fails, which no input can cause.
pub(crate) fn contact_answer(
    contact: &str,
    language: &'static Language,
) -> Result<String, TextError> {
    let text = language.text("contact-sms", &[])?;
    Ok(format!("{} {contact}", without_typography(&text)))
}

#[cfg(test)]
mod tests {
    use crate::messages::languages::{Language, TextError};
    use crate::messages::sms::segments;

    use super::{contact_answer, link_answer};

    #[test]
    fn an_answer_has_the_letters_of_its_alphabet_only() -> Result<(), TextError> {
        for language in Language::all() {
            let answers = [
                link_answer("https://x.example/a/cancel", language)?,
                contact_answer("+43 1 2345678", language)?,
            ];
            for answer in answers {
                let is_narrow = segments(&answer).wide.is_none();
                assert_eq!(is_narrow, language.has_gsm_sms(), "{answer}");
            }
        }
        Ok(())
    }
}
