//! One text of the owner's: a pattern of Fluent with documented variables and nothing else.

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{
    Entry, Expression, InlineExpression, Pattern, PatternElement, Variant, VariantKey,
};

use crate::messages::languages::{Language, Variable};
use crate::messages::wording::parts::{Part, values};

/// `{` and `(` in a body, at most: Fluent's parser calls itself for each, and its stack is limited.
const MOST_NESTED: usize = 100;
/// Of what the parser says, which may quote the body.
const LONGEST_PROBLEM: usize = 200;
/// Before the body, so that it becomes a message of Fluent.
const MESSAGE: &str = "text = ";
/// Before each other line, so that none begins a message.
const INDENT: &str = " ";

/// A text of the owner's.
pub(super) struct Template {
    part: &'static Part,
    /// It has one message with a value.
    resource: FluentResource,
}

impl Template {
    /// # Errors
    /// Says what is wrong, with the line and column.
    pub(super) fn parse(part: &'static Part, body: &str) -> Result<Self, String> {
        if body.matches(['{', '(']).count() > MOST_NESTED {
            return Err(format!("it has more than {MOST_NESTED} of {{ and ("));
        }
        let body = body
            .replace("\r\n", "\n")
            .replace('\n', &format!("\n{INDENT}"));
        let source = format!("{MESSAGE}{body}");
        if let Some(at) = short_escape(&source) {
            return Err(format!(
                "{}: this escape is too short",
                position(&source, at)
            ));
        }
        let resource = match FluentResource::try_new(source) {
            Ok(resource) => resource,
            Err((resource, errors)) => {
                let error = errors.first();
                let at = error.map_or(0, |error| error.pos.start);
                let problem = error.map(ToString::to_string).unwrap_or_default();
                let problem: String = problem.chars().take(LONGEST_PROBLEM).collect();
                return Err(format!("{}: {problem}", position(resource.source(), at)));
            }
        };
        let template = Self { part, resource };
        let pattern = template.pattern().ok_or("it is more than one text")?;
        template.look_at_pattern(pattern)?;
        Ok(template)
    }

    /// `None`: it is anything but one message with a value.
    fn pattern(&self) -> Option<&Pattern<&str>> {
        let mut entries = self.resource.entries();
        match (entries.next()?, entries.next()) {
            (Entry::Message(message), None) if message.attributes.is_empty() => {
                message.value.as_ref()
            }
            _ => None,
        }
    }

    fn look_at_pattern(&self, pattern: &Pattern<&str>) -> Result<(), String> {
        pattern
            .elements
            .iter()
            .try_for_each(|element| match element {
                PatternElement::TextElement { .. } => Ok(()),
                PatternElement::Placeable { expression } => self.look_at(expression),
            })
    }

    fn look_at(&self, expression: &Expression<&str>) -> Result<(), String> {
        let (selector, variants) = match expression {
            Expression::Inline(inline) => return self.look_at_inline(inline),
            Expression::Select { selector, variants } => (selector, variants),
        };
        self.look_at_inline(selector)?;
        if let InlineExpression::VariableReference { id } = selector {
            self.look_at_keys(id.name, variants)?;
        }
        variants
            .iter()
            .try_for_each(|variant| self.look_at_pattern(&variant.value))
    }

    /// A variant that can never apply is a slip of the pen: everyone would get the default.
    fn look_at_keys(&self, variable: &str, variants: &[Variant<&str>]) -> Result<(), String> {
        let Some(values) = values(variable) else {
            return Ok(());
        };
        for variant in variants.iter().filter(|variant| !variant.default) {
            let (VariantKey::Identifier { name } | VariantKey::NumberLiteral { value: name }) =
                variant.key;
            if !values.contains(&name) {
                let problem = format!(
                    "${variable} is never {}, but one of {}",
                    cut(name),
                    values.join(", ")
                );
                return Err(self.problem_at(name, &problem));
            }
        }
        Ok(())
    }

    fn look_at_inline(&self, inline: &InlineExpression<&str>) -> Result<(), String> {
        let (name, problem) = match inline {
            InlineExpression::StringLiteral { .. } => return Ok(()),
            InlineExpression::Placeable { expression } => return self.look_at(expression),
            InlineExpression::VariableReference { id } => {
                if self.part.variables.contains(&id.name) {
                    return Ok(());
                }
                let known: Vec<_> = (self.part.variables.iter())
                    .map(|name| format!("${name}"))
                    .collect();
                let known = match known.is_empty() {
                    true => "it takes none".to_owned(),
                    false => format!("it takes {}", known.join(", ")),
                };
                (
                    id.name,
                    format!("there is no variable ${}; {known}", cut(id.name)),
                )
            }
            InlineExpression::MessageReference { id, .. }
            | InlineExpression::TermReference { id, .. } => (
                id.name,
                format!("it refers to another text, {}", cut(id.name)),
            ),
            InlineExpression::FunctionReference { id, .. } => {
                (id.name, format!("it calls a function, {}", cut(id.name)))
            }
            InlineExpression::NumberLiteral { value } => (
                *value,
                "a number stands in braces without quotes".to_owned(),
            ),
        };
        Err(self.problem_at(name, &problem))
    }

    /// `part`: a slice of the source.
    fn problem_at(&self, part: &str, problem: &str) -> String {
        let source = self.resource.source();
        let at = (part.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
        format!("{}: {problem}", position(source, at))
    }

    /// Writes it. Several paragraphs are several lines.
    ///
    /// # Errors
    /// Says what is wrong with these variables.
    pub(super) fn write(
        &self,
        language: &Language,
        variables: &[Variable<'_>],
    ) -> Result<String, String> {
        let pattern = self.pattern().ok_or("it is more than one text")?;
        let text = language.format(pattern, variables)?;
        let text: String = text
            .chars()
            .map(|one| match one {
                '\n' if self.part.has_paragraphs() => '\n',
                '\u{2028}' | '\u{2029}' => ' ',
                one if one.is_control() => ' ',
                one => one,
            })
            .collect();
        let text = text.trim();
        if text.chars().all(is_invisible) {
            return Err("it says nothing".to_owned());
        }
        let longest = self.part.longest();
        if text.chars().nth(longest).is_some() {
            return Err(format!("it is longer than {longest} characters"));
        }
        Ok(text.to_owned())
    }
}

/// Where `\u` has less than four digits, or `\U` less than six, and a letter that is not ASCII
/// follows: there, Fluent's parser panics (projectfluent/fluent-rs#389).
fn short_escape(source: &str) -> Option<usize> {
    let is_short = |(at, _): &(usize, &str)| {
        let mut escape = source[at + 1..].chars();
        let digits = match escape.next() {
            Some('u') => 4,
            Some('U') => 6,
            _ => return false,
        };
        let end = escape.take(digits).find(|one| !one.is_ascii_hexdigit());
        end.is_some_and(|end| !end.is_ascii())
    };
    source.match_indices('\\').find(is_short).map(|(at, _)| at)
}

/// Spaces, and characters that only direct or join others.
fn is_invisible(one: char) -> bool {
    one.is_whitespace()
        || matches!(one, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A name for a log.
fn cut(name: &str) -> &str {
    name.get(..40).unwrap_or(name)
}

/// The line and column of the body at this byte of the source.
fn position(source: &str, at: usize) -> String {
    let before = source.get(..at).unwrap_or(source);
    let line = before.matches('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count());
    let prefix = if line == 0 { MESSAGE } else { INDENT };
    format!("{}:{}", line + 1, column.saturating_sub(prefix.len()) + 1)
}
