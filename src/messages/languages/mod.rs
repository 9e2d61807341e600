//! The languages of messages. A language is one Fluent file beside this one: its texts, the names
//! of its days and months, and its patterns of dates and times. The file of a region (`en-GB`) has
//! what differs from its language. `build.rs` lists the files.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentError, FluentResource, FluentValue};
use fluent_syntax::ast::Pattern;
use icu_locale::{LanguageIdentifier, Locale, LocaleExpander};

include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// A language in which messages are written.
pub struct Language {
    /// A BCP 47 tag, the name of its file.
    tag: &'static str,
    source: &'static str,
    /// Parsed when the first message is written in it.
    bundle: OnceLock<FluentBundle<FluentResource>>,
    is_right_to_left: OnceLock<bool>,
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.tag)
    }
}

/// A text that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the text {message} in the language {language}: {problem}")]
pub struct TextError {
    language: &'static str,
    message: &'static str,
    problem: String,
}

/// A variable of a text: its name and its value.
pub(crate) type Variable<'a> = (&'static str, FluentValue<'a>);

impl Language {
    const fn new(tag: &'static str, source: &'static str) -> Self {
        Self {
            tag,
            source,
            bundle: OnceLock::new(),
            is_right_to_left: OnceLock::new(),
        }
    }

    /// The language of a BCP 47 tag (`pt-BR`, also as `pt_BR` and `pt_BR.UTF-8`): the same language
    /// in the same script, and the region's own if there is one. `zh-TW`, which is written in the
    /// traditional script, is not `zh`.
    pub fn matching(tag: &str) -> Option<&'static Self> {
        static SCRIPTS: LazyLock<Vec<(LanguageIdentifier, &Language)>> = LazyLock::new(|| {
            let all = LANGUAGES.iter();
            all.filter_map(|language| Some((with_script(language.tag)?, language)))
                .collect()
        });
        let wanted = with_script(tag)?;
        SCRIPTS
            .iter()
            .filter(|(own, language)| {
                (own.language, own.script) == (wanted.language, wanted.script)
                    && (own.region == wanted.region || language.base().is_none())
            })
            .map(|(_, language)| *language)
            .max_by_key(|language| language.base().is_some())
    }

    /// The tag of the language of a region: `en` of `en-GB`. `zh-Hant` has a script, not a region.
    fn base(&self) -> Option<&'static str> {
        let (base, region) = self.tag.rsplit_once('-')?;
        (region.len() <= 3).then_some(base)
    }

    /// All languages, by their tags.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        LANGUAGES.iter()
    }

    /// The language with exactly this tag.
    pub(crate) fn tagged(tag: &str) -> Option<&'static Self> {
        Self::all().find(|language| language.tag == tag)
    }

    /// Itself and, of a region, the language of all its regions.
    pub(crate) fn and_base(&'static self) -> impl Iterator<Item = &'static Self> {
        let base = self.base().and_then(Self::tagged);
        [self].into_iter().chain(base)
    }

    /// Its BCP 47 tag.
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// `rtl` where it is written from right to left, else `ltr`.
    pub(crate) fn direction(&self) -> Result<String, TextError> {
        self.text("direction", &[])
    }

    /// Whether its words for SMS have only characters of the GSM 7-bit alphabet.
    pub(crate) fn has_gsm_sms(&self) -> bool {
        (self.text("sms-alphabet", &[])).is_ok_and(|alphabet| alphabet == "gsm-7")
    }

    pub(crate) fn is_right_to_left(&self) -> bool {
        *self
            .is_right_to_left
            .get_or_init(|| self.direction().is_ok_and(|direction| direction == "rtl"))
    }

    /// Writes a text. `message` is its name in the file.
    pub(crate) fn text(
        &self,
        message: &'static str,
        variables: &[Variable<'_>],
    ) -> Result<String, TextError> {
        let failed = |problem: String| TextError {
            language: self.tag,
            message,
            problem,
        };
        let pattern = self
            .bundle()
            .get_message(message)
            .and_then(|found| found.value())
            .ok_or_else(|| failed("there is no such text".to_owned()))?;
        self.format(pattern, variables).map_err(failed)
    }

    /// Writes a pattern with the plural forms of the language.
    ///
    /// # Errors
    /// Says what failed.
    pub(crate) fn format(
        &self,
        pattern: &Pattern<&str>,
        variables: &[Variable<'_>],
    ) -> Result<String, String> {
        let arguments: FluentArgs<'_> = variables.iter().cloned().collect();
        let mut errors: Vec<FluentError> = Vec::new();
        let text = (self.bundle()).format_pattern(pattern, Some(&arguments), &mut errors);
        match errors.first() {
            None => Ok(text.into_owned()),
            Some(error) => Err(error.to_string()),
        }
    }

    fn bundle(&self) -> &FluentBundle<FluentResource> {
        self.bundle.get_or_init(|| self.parse())
    }

    /// What a file has that cannot be parsed is missing from the bundle.
    fn parse(&self) -> FluentBundle<FluentResource> {
        let mut bundle = FluentBundle::new_concurrent(vec![self.tag.parse().unwrap_or_default()]);
        // Names are isolated one by one: isolated numbers would break up every date.
        bundle.set_use_isolating(false);
        let base = self.base();
        let base = LANGUAGES.iter().find(|language| Some(language.tag) == base);
        for language in base.into_iter().chain([self]) {
            let source = language.source.to_owned();
            let (Ok(resource) | Err((resource, _))) = FluentResource::try_new(source);
            bundle.add_resource_overriding(resource);
        }
        bundle
    }
}

/// A tag with the script in which its language is written. `None`: not a tag, or one without a
/// language.
fn with_script(tag: &str) -> Option<LanguageIdentifier> {
    let tag = tag.trim().split(['.', '@']).next()?.replace('_', "-");
    let mut id = Locale::try_from_str(&tag).ok()?.id;
    if id.language.is_unknown() {
        return None;
    }
    const { LocaleExpander::new_common() }.maximize(&mut id);
    Some(id)
}
