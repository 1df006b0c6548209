//! The forms that a value can have: in words for people, and as a parser.

use std::{fmt, net::SocketAddr, path::PathBuf, rc::Rc, time::Duration};

use super::base_url::BaseUrl;
use crate::{caller::Pattern, listen_address::ListenAddress, secret::Secret};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Parser<T> = Box<dyn Fn(&str) -> Option<T>>;
type Finder = Box<dyn Fn(&str) -> Option<usize>>;

/// How a value of type `T` is written.
pub(crate) struct Form<T> {
    /// Completes the sentence "expected …".
    pub(super) expected: String,
    /// Whether TOML may write it without quotes, as a number or a boolean.
    pub(super) bare: bool,
    /// Whether the value must never be shown, nor stand in a file beside others.
    pub(super) secret: bool,
    parse: Parser<T>,
    /// Of a list: which entry, counted from 1, does not have the form.
    wrong_entry: Option<Finder>,
}

impl<T> Form<T> {
    fn new(expected: impl Into<String>, parse: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self {
            expected: expected.into(),
            bare: false,
            secret: false,
            parse: Box::new(parse),
            wrong_entry: None,
        }
    }

    fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    /// Whether TOML may write it as an array of strings.
    pub(super) fn is_list(&self) -> bool {
        self.wrong_entry.is_some()
    }

    /// Completes the sentence "expected …" about a text that does not have this form: of a
    /// list it says which entry.
    pub(super) fn expected_of(&self, text: &str) -> String {
        match self.wrong_entry.as_ref().and_then(|find| find(text)) {
            Some(entry) => format!("{}; entry {entry} is not one", self.expected),
            None => self.expected.clone(),
        }
    }

    /// The value, or `None` when the text does not have this form.
    pub(super) fn parse(&self, text: &str) -> Option<T> {
        (self.parse)(text)
    }

    /// The value, or the sentence that says what was expected.
    pub(crate) fn demand(&self, text: &str) -> Result<T, String> {
        self.parse(text)
            .ok_or_else(|| format!("expected {}", self.expected))
    }
}

impl<T> fmt::Debug for Form<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// A whole number between two bounds, both included.
pub(super) fn whole<N: TryFrom<u64>>(min: u64, max: u64) -> Form<N> {
    let parse =
        move |text: &str| N::try_from(text.parse().ok().filter(|n| (min..=max).contains(n))?).ok();
    Form::new(format!("a whole number from {min} to {max}"), parse).bare()
}

/// A boolean.
pub(super) fn flag() -> Form<bool> {
    Form::new("`true` or `false`", |text| text.parse().ok()).bare()
}

/// A duration with units, between two bounds, both included.
pub(crate) fn duration(min: Duration, max: Duration) -> Form<Duration> {
    let expected = format!(
        "a duration with a unit, such as `10s`, from {} to {}",
        humantime::format_duration(min),
        humantime::format_duration(max)
    );
    Form::new(expected, move |text| {
        // humantime takes a bare `0`; here every duration has a unit.
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        // Its sums can overflow and panic, but only in texts longer than this.
        if !has_unit || text.len() > 20 {
            return None;
        }
        let value = humantime::parse_duration(text).ok()?;
        (min..=max).contains(&value).then_some(value)
    })
}

/// One of a closed set of words.
pub(super) fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> Form<T> {
    let words: Vec<_> = choices
        .iter()
        .map(|(word, _)| format!("`{word}`"))
        .collect();
    Form::new(format!("one of {}", words.join(", ")), |text| {
        choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    })
}

/// Where to listen.
pub(crate) fn listen_address() -> Form<ListenAddress> {
    Form::new(ListenAddress::EXPECTED, ListenAddress::parse)
}

/// An IP address and a port.
pub(crate) fn socket_address() -> Form<SocketAddr> {
    Form::new(
        "an IP address and a port, such as `127.0.0.1:50051` or `[::]:50051`",
        |text| text.parse().ok(),
    )
}

/// A loopback address and a port.
pub(super) fn loopback_address() -> Form<SocketAddr> {
    Form::new(
        "a loopback address and a port, such as `127.0.0.1:0`",
        |text| {
            text.parse()
                .ok()
                .filter(|address: &SocketAddr| address.ip().is_loopback())
        },
    )
}

/// The path of a file.
pub(super) fn path() -> Form<PathBuf> {
    Form::new("the path of a file", |text| {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    })
}

/// The same form, or an empty text for no value, so that a later source can take back
/// what an earlier one set.
pub(super) fn optional<T: 'static>(form: Form<T>) -> Form<Option<T>> {
    let expected = format!("{}, or an empty text for none", form.expected);
    Form::new(expected, move |text| {
        if text.is_empty() {
            Some(None)
        } else {
            form.parse(text).map(Some)
        }
    })
}

/// A base URL, such as `example`.
pub(super) fn base_url(example: &str) -> Form<BaseUrl> {
    Form::new(
        format!("{}, such as `{example}`", BaseUrl::EXPECTED),
        BaseUrl::parse,
    )
}

/// The issuer of tokens: a base URL that is kept to the letter, since tokens repeat it so.
pub(super) fn issuer() -> Form<String> {
    let url = base_url("https://login.microsoftonline.com/TENANT/v2.0");
    Form::new(url.expected.clone(), move |text| {
        url.parse(text).map(|_| text.to_owned())
    })
}

/// An id that a URL or a form can carry: visible ASCII without spaces.
pub(super) fn id(what: &str) -> Form<String> {
    Form::new(format!("{what}, without spaces"), |text| {
        let is_id = !text.is_empty()
            && text.len() <= 512
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_id.then(|| text.to_owned())
    })
}

/// One tenant's id or domain. The words that Entra has for many tenants at once give no
/// token to an application (Microsoft identity platform, "Client credentials flow").
pub(super) fn tenant() -> Form<String> {
    const MANY: [&str; 3] = ["common", "organizations", "consumers"];
    Form::new(
        "the id or domain of one tenant: letters, digits, `-` and `.`, and not `common`, `organizations` or `consumers`",
        |text| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            let is_many = MANY.iter().any(|word| word.eq_ignore_ascii_case(text));
            (!text.is_empty() && !is_many && text.bytes().all(is_plain)).then(|| text.to_owned())
        },
    )
}

/// A secret, given by its environment variable only.
pub(super) fn secret() -> Form<Option<Secret>> {
    let form = Form::new("one line of text", |text| {
        let is_one_line = !text.contains(|c: char| c.is_control());
        is_one_line.then(|| Some(Secret::new(text)).filter(|secret| !secret.reveal().is_empty()))
    });
    Form {
        secret: true,
        ..form
    }
}

/// Any number of values of a form: a TOML array, or text with commas between them.
pub(super) fn list<T: 'static>(form: Form<T>) -> Form<Vec<T>> {
    let expected = format!("a list, with commas or as an array, of {}", form.expected);
    let form = Rc::new(form);
    let entries = Rc::clone(&form);
    let wrong_entry = move |text: &str| {
        let wrong = |item: &str| entries.parse(item.trim()).is_none();
        text.split(',').position(wrong).map(|index| index + 1)
    };
    let list = Form::new(expected, move |text| {
        if text.trim().is_empty() {
            return Some(Vec::new());
        }
        text.split(',')
            .map(|item| form.parse(item.trim()))
            .collect()
    });
    Form {
        wrong_entry: Some(Box::new(wrong_entry)),
        ..list
    }
}

/// A pattern of caller names.
pub(super) fn caller() -> Form<Pattern> {
    Form::new(Pattern::EXPECTED, Pattern::parse)
}

/// A level, or `target=level`, by commas; kept as text because the log's own defaults are
/// merged into it later.
///
/// The parser of `tracing` takes any word that is no level for a target, so that a typing
/// error would switch all other logs off. Here a target always has a level.
pub(super) fn log_filter() -> Form<String> {
    Form::new(
        "log directives: a level (`off`, `error`, `warn`, `info`, `debug` or `trace`) or `target=level`, with commas between them, such as `info` or `warn,incidentgate=debug`",
        |text| {
            let directives: Vec<&str> = text.split(',').map(str::trim).collect();
            let is_filter = directives.iter().copied().all(is_log_directive);
            is_filter.then(|| directives.join(","))
        },
    )
}

fn is_log_directive(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_target = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || "_:-.".contains(c))
    };
    match text.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(text),
    }
}
