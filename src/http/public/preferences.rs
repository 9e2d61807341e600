//! `/p/{token}`: a person's own page, where they choose which messages they get and in which
//! language; and where mail readers unsubscribe them with one POST.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::database::{Result, Transaction};
use crate::http::public::form::Form;
use crate::http::public::page::{Page, PageError, Trouble};
use crate::http::public::{Public, Token, Visit, begin, language_of, unavailable, visit};
use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError};
use crate::people::links::{Link, Purpose};
use crate::people::preferences::{Preferences, read_preferences, set_language, set_opt_outs};

#[derive(Template)]
#[template(path = "preferences.html")]
struct Html<'a> {
    page: &'a Choices,
}

/// What the page asks.
struct Choices {
    /// The text of the button that leaves the kind of the message with the link.
    unsubscribe: Option<String>,
    explained: String,
    kinds: Vec<KindChoice>,
    language_label: String,
    /// The one that the page is in.
    language: &'static str,
    languages: Vec<LanguageChoice>,
    save: String,
}

struct KindChoice {
    name: KindName,
    label: String,
    is_wanted: bool,
}

struct LanguageChoice {
    tag: &'static str,
    name: String,
    is_selected: bool,
}

/// What a person asks for.
#[derive(Debug)]
enum Change {
    /// Not to get messages of this kind any more.
    Leave(KindName),
    /// To get some kinds, and others not; and in which language.
    Choose {
        wanted: Vec<KindName>,
        unwanted: Vec<KindName>,
        language: Option<&'static Language>,
    },
}

impl Change {
    /// `None`: the form is neither of a mail reader's nor the page's own.
    fn of(form: &Form, link: &Link) -> Option<Self> {
        if form.value("List-Unsubscribe") == Some("One-Click") {
            return link.choice().map(Self::Leave);
        }
        // A kind that the page did not show stays as it is.
        let shown = form.value("shown").unwrap_or_default().split_whitespace();
        let shown: Vec<_> = shown
            .filter_map(KindName::from_name)
            .filter(|kind| kind.is_choice())
            .collect();
        if shown.is_empty() {
            return None;
        }
        let is_wanted = |kind: &KindName| form.value(&format!("wants-{kind}")).is_some();
        let (wanted, unwanted) = shown.into_iter().partition(is_wanted);
        Some(Self::Choose {
            wanted,
            unwanted,
            // One that was not changed is no choice.
            language: form
                .value("language")
                .filter(|tag| form.value("language-shown") != Some(*tag))
                .and_then(Language::tagged),
        })
    }

    async fn store(&self, transaction: &Transaction, person: &str) -> Result<()> {
        match self {
            Self::Leave(kind) => set_opt_outs(transaction, person, &[], &[*kind]).await,
            Self::Choose {
                wanted,
                unwanted,
                language,
            } => {
                set_opt_outs(transaction, person, wanted, unwanted).await?;
                match language {
                    Some(language) => set_language(transaction, person, language).await,
                    None => Ok(()),
                }
            }
        }
    }
}

pub(super) async fn preferences(
    State(public): State<Arc<Public>>,
    token: Token,
    request: Request,
) -> Response {
    let visit = match visit(&public, Purpose::Preferences, token, request).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let response = answer(&public, &visit).await;
    visit.answer(response)
}

async fn answer(public: &Public, visit: &Visit) -> Response {
    let link = &visit.link;
    let change = match &visit.form {
        None => None,
        Some(form) => match Change::of(form, link) {
            None => return public.look.trouble(Trouble::Unreadable, link.language()),
            change => change,
        },
    };
    let Ok(_place) = public.places.take(visit.deadline).await else {
        return public.look.trouble(Trouble::Unavailable, link.language());
    };
    match read_and_change(public, visit, change.as_ref()).await {
        Ok(Some(preferences)) => {
            let page = page(public, link, &preferences, change.as_ref());
            public.look.show(StatusCode::OK, page)
        }
        Ok(None) => public.look.trouble(Trouble::Broken, link.language()),
        Err(error) => unavailable(public, link, &error),
    }
}

/// Makes the change, if there is one, and returns what the person has chosen. `None`: the link was
/// revoked.
async fn read_and_change(
    public: &Public,
    visit: &Visit,
    change: Option<&Change>,
) -> Result<Option<Preferences>> {
    let begun = begin(public, visit, change.is_none()).await?;
    let Some((transaction, preferences)) = begun else {
        return Ok(None);
    };
    let person = visit.link.person.as_str();
    let Some(change) = change else {
        transaction.rollback().await?;
        return Ok(Some(preferences));
    };
    change.store(&transaction, person).await?;
    let changed = async |transaction: &Transaction| read_preferences(transaction, person).await;
    transaction.commit_after(changed).await.map(Some)
}

fn page(
    public: &Public,
    link: &Link,
    preferences: &Preferences,
    change: Option<&Change>,
) -> std::result::Result<Page, PageError> {
    let language = language_of(public, link, preferences);
    let notice = match change {
        None => None,
        Some(Change::Leave(kind)) => {
            let kind = label(language, *kind)?;
            Some(language.text("unsubscribed-from", &[("kind", kind.into())])?)
        }
        Some(Change::Choose { .. }) => Some(language.text("choices-saved", &[])?),
    };
    let choices = Choices::of(link, preferences, language)?;
    let content = Html { page: &choices }.render()?;
    let page = Page::new(language, "your-messages")?;
    Ok(page.with_notice(notice).with_content(content))
}

fn label(language: &Language, kind: KindName) -> std::result::Result<String, TextError> {
    language.text("message-kind", &[("kind", kind.as_str().into())])
}

impl Choices {
    fn of(
        link: &Link,
        preferences: &Preferences,
        language: &'static Language,
    ) -> std::result::Result<Self, TextError> {
        let mut kinds = Vec::new();
        for kind in KindName::choices() {
            kinds.push(KindChoice {
                name: kind,
                label: label(language, kind)?,
                is_wanted: preferences.wants(kind),
            });
        }
        let mut languages = Vec::new();
        for one in Language::all() {
            languages.push(LanguageChoice {
                tag: one.tag(),
                name: one.text("language-name", &[])?,
                is_selected: one.tag() == language.tag(),
            });
        }
        let left = link.choice().filter(|kind| preferences.wants(*kind));
        let unsubscribe = match left {
            Some(kind) => {
                let kind = label(language, kind)?;
                Some(language.text("unsubscribe-from", &[("kind", kind.into())])?)
            }
            None => None,
        };
        Ok(Self {
            unsubscribe,
            explained: language.text("messages-explained", &[])?,
            kinds,
            language_label: language.text("language", &[])?,
            language: language.tag(),
            languages,
            save: language.text("save", &[])?,
        })
    }
}
