//! The command `template`: what is wrong with the owner's own texts, and what they look like.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::database::settings::DatabaseSettings;
use crate::database::{Begin, Database};
use crate::delivery::templates::read_templates;
use crate::messages::kind_name::KindName;
use crate::messages::languages::Language;
use crate::messages::samples::samples;
use crate::messages::settings::MessageSettings;
use crate::messages::sms::{Segments, segments};
use crate::messages::wording::Wording;
use crate::messages::{Message, render};
use crate::primitives::settings::environment;

/// How long the database may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What to do with the texts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tries each text with sample data. Prints a line for each that is broken (kind, language,
    /// part, line:column, and what is wrong), and exits with 1 if there is one. Warns of each text
    /// of an SMS that needs several segments, or leaves the GSM alphabet, and by which character.
    Check {
        #[command(flatten)]
        texts: Texts,
    },
    /// Prints messages with sample data: subject, text, and the text of an SMS with its segments.
    /// Those to providers are shown where they differ.
    Preview {
        /// Only this kind of message, such as reminder. Default: all.
        #[arg(long, value_parser = kind)]
        kind: Option<KindName>,
        /// Only this language, such as de. Default: all.
        #[arg(long, value_parser = language)]
        language: Option<&'static Language>,
        #[command(flatten)]
        texts: Texts,
    },
}

#[derive(Args)]
pub(crate) struct Texts {
    /// Take the inactive texts as if they were active, to see them before customers do.
    #[arg(long)]
    inactive: bool,
}

fn kind(name: &str) -> Result<KindName, String> {
    KindName::from_name(name).ok_or_else(|| {
        let names: Vec<_> = KindName::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("takes one of {}", names.join(", "))
    })
}

fn language(tag: &str) -> Result<&'static Language, String> {
    Language::tagged(tag).ok_or_else(|| {
        let tags: Vec<_> = Language::all().map(Language::tag).collect();
        format!("takes one of {}", tags.join(", "))
    })
}

/// Executes the command.
///
/// # Errors
/// When the texts cannot be read, or when `check` finds a broken one.
pub(crate) async fn execute(database: &DatabaseSettings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { texts } => {
            let settings = MessageSettings::from_environment(&environment)?;
            let wording = read(database, &texts).await?;
            print_long(&wording, &settings)?;
            print_broken(&wording)
        }
        Command::Preview {
            kind,
            language,
            texts,
        } => {
            let settings = MessageSettings::from_environment(&environment)?;
            let wording = read(database, &texts).await?;
            let kinds = KindName::ALL
                .iter()
                .filter(|one| kind.is_none_or(|kind| kind == **one));
            for kind in kinds {
                let is_asked = |one: &&Language| language.is_none_or(|it| it.tag() == one.tag());
                for language in Language::all().filter(is_asked) {
                    print_messages(*kind, language, &settings, &wording)?;
                }
            }
            Ok(())
        }
    }
}

async fn read(database: &DatabaseSettings, texts: &Texts) -> anyhow::Result<Wording> {
    let database = Database::new(database, 1)?;
    let begin = Begin {
        read_only: true,
        ..Begin::until(Instant::now() + TIMEOUT)
    };
    let read = async {
        let (transaction, _) = database.begin(&begin, "").await?;
        let rows = read_templates(&transaction, texts.inactive).await?;
        transaction.rollback().await.map(|()| rows)
    };
    let rows = (read.await)
        .map_err(|error| anyhow::anyhow!("the texts could not be read: {}", error.message()))?;
    let wording = Wording::of(rows);
    wording.try_with_samples();
    Ok(wording)
}

/// Prints the owner's texts of SMS that cost more than they need to.
fn print_long(wording: &Wording, settings: &MessageSettings) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    for (row, kind, language) in wording.short_texts() {
        if let Some(worst) = longest(kind, language, settings, wording)? {
            writeln!(output, "{row}: warning: {}", describe(worst))
                .context("the texts could not be written to stdout")?;
        }
    }
    for (row, wide) in wording.wide_texts() {
        let why = lack_of(wide);
        writeln!(
            output,
            "{row}: warning: SMS with it are in UCS-2, because {why}"
        )
        .context("the texts could not be written to stdout")?;
    }
    Ok(())
}

/// The worst of a kind's SMS, if it has several segments, or is not in the GSM alphabet where the
/// built-in text is.
fn longest(
    kind: KindName,
    language: &'static Language,
    settings: &MessageSettings,
    wording: &Wording,
) -> anyhow::Result<Option<Segments>> {
    let mut worst: Option<Segments> = None;
    let all = ["customer", "provider"].map(|audience| samples(kind, audience, language.tag()));
    for sample in all.iter().flatten() {
        let of = |wording: &Wording| {
            let message = render(&sample.kind, &sample.facts, settings, wording)?;
            anyhow::Ok(segments(&message.short))
        };
        let (own, built_in) = (of(wording)?, of(&Wording::default())?);
        let is_costly = own.count > 1 || own.wide.is_some() && built_in.wide.is_none();
        let size = |it: &Segments| (it.count, it.wide.is_some(), it.units);
        if is_costly && worst.as_ref().is_none_or(|worst| size(&own) > size(worst)) {
            worst = Some(own);
        }
    }
    Ok(worst)
}

fn print_broken(wording: &Wording) -> anyhow::Result<()> {
    let broken = wording.broken();
    let mut output = std::io::stdout().lock();
    for broken in &broken {
        writeln!(output, "{broken}").context("the texts could not be written to stdout")?;
    }
    anyhow::ensure!(
        broken.is_empty(),
        "{} broken: the built-in texts are used in their place",
        broken.len()
    );
    Ok(())
}

/// Prints the messages to a customer, and the one to a provider if it differs.
fn print_messages(
    kind: KindName,
    language: &'static Language,
    settings: &MessageSettings,
    wording: &Wording,
) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    let mut before: Option<Message> = None;
    for audience in ["customer", "provider"] {
        for sample in samples(kind, audience, language.tag()) {
            let message = render(&sample.kind, &sample.facts, settings, wording)?;
            if before.as_ref() != Some(&message) {
                let occasion = sample.occasion.map(|text| format!(": {text}"));
                let heading = format!(
                    "{kind}, {}, {audience}{}",
                    language.tag(),
                    occasion.unwrap_or_default()
                );
                print_message(&mut output, &heading, &message)
                    .context("the messages could not be written to stdout")?;
            }
            before = before.or(Some(message));
        }
    }
    Ok(())
}

fn print_message(output: &mut impl Write, heading: &str, message: &Message) -> std::io::Result<()> {
    let Message {
        subject,
        text,
        short,
        ..
    } = message;
    let (text, sms) = (text.trim_end(), describe(segments(short)));
    writeln!(
        output,
        "== {heading}\nSubject: {subject}\n\n{text}\n\nSMS: {short}\n({sms})\n"
    )
}

fn describe(Segments { count, units, wide }: Segments) -> String {
    let segments = match count {
        1 => "1 segment".to_owned(),
        _ => format!("{count} segments"),
    };
    match wide {
        None => format!("{segments}: {units} characters in GSM-7"),
        Some(wide) => {
            let why = lack_of(wide);
            format!("{segments}: {units} characters in UCS-2, because {why}")
        }
    }
}

fn lack_of(wide: char) -> String {
    format!("GSM-7 lacks {wide:?} (U+{:04X})", u32::from(wide))
}
