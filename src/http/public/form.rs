//! What a form sends, and what a mail reader sends that unsubscribes (RFC 8058).

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

/// Names and values.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// What cannot be read has no fields.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default();
        let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        let fields = match essence.trim().to_ascii_lowercase().as_str() {
            "multipart/form-data" => parse_parts(parameters, body).unwrap_or_default(),
            _ => url::form_urlencoded::parse(body).into_owned().collect(),
        };
        Self(fields)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(it, _)| it == name);
        field.map(|(_, value)| value.as_str())
    }
}

/// The fields of `multipart/form-data` (RFC 7578) that are texts.
fn parse_parts(parameters: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = parameter(parameters, "boundary")?;
    let body = std::str::from_utf8(body).ok()?;
    // Before the first boundary there is no line's end.
    let body = format!("\r\n{}", body.replace("\r\n", "\n").replace('\n', "\r\n"));
    let mut fields = Vec::new();
    for part in body.split(&format!("\r\n--{boundary}")).skip(1) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        });
        if let Some(name) = disposition.and_then(|value| parameter(value, "name")) {
            fields.push((name, value.to_owned()));
        }
    }
    Some(fields)
}

/// A parameter of a header's value, with or without quotes.
fn parameter(text: &str, name: &str) -> Option<String> {
    text.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn parsed(kind: &'static str, body: &str) -> Vec<(String, String)> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Form::parse(&headers, body.as_bytes()).0
    }

    #[test]
    fn a_form_is_read_in_either_encoding() {
        let expected = [("List-Unsubscribe".to_owned(), "One-Click".to_owned())];
        let urlencoded = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(parsed(urlencoded, "List-Unsubscribe=One-Click"), expected);
        let part = "Content-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click";
        for kind in [
            "multipart/form-data; boundary=x",
            "Multipart/Form-Data; charset=utf-8; Boundary=\"x\"",
        ] {
            assert_eq!(
                parsed(kind, &format!("--x\r\n{part}\r\n--x--\r\n")),
                expected
            );
            let lines = part.replace("\r\n", "\n");
            assert_eq!(parsed(kind, &format!("--x\n{lines}\n--x--\n")), expected);
        }
        for (kind, body) in [
            ("multipart/form-data", "--x\r\n"),
            ("multipart/form-data; boundary=x", "nothing"),
            ("multipart/form-data; boundary=x", "--x\r\n\r\n\r\n--x--"),
            ("application/x-www-form-urlencoded", ""),
        ] {
            assert_eq!(parsed(kind, body), [], "{body}");
        }
    }
}
