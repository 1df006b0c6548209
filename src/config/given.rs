//! What the sources gave, before and while it is read into types.

use std::collections::HashMap;

use super::{
    Flag, Preset, Sources, environment, file,
    form::Form,
    mistake::Mistake,
    origin::Origin,
    settings::{SETTINGS, Setting},
};

const SECRET: &str = "no secret here: name a file that holds it, or set the environment variable";

/// A value as its source wrote it.
pub(super) enum Raw {
    /// Text: a TOML string, a variable, a flag.
    Text(String),
    /// A TOML integer (in decimal) or boolean.
    Bare(String),
    /// A TOML array of strings, with commas between them.
    List(String),
    /// Something that no setting is written as, such as a table or bytes that are not UTF-8.
    Foreign,
}

/// Every value by key, in rising priority, and the mistakes found so far.
#[derive(Default)]
pub(super) struct Given {
    values: HashMap<&'static str, Vec<(Origin, Raw)>>,
    mistakes: Vec<Mistake>,
}

impl Given {
    /// Gathers all sources; unknown keys and unreadable files become mistakes.
    pub(super) fn collect(sources: Sources) -> Self {
        let mut given = Self::default();
        for setting in SETTINGS.iter() {
            given.set(
                setting,
                Origin::Default,
                Raw::Text(setting.default.to_owned()),
            );
            if let (Preset::Sandbox, Some(default)) = (sources.preset, setting.sandbox) {
                given.set(setting, Origin::Sandbox, Raw::Text(default.to_owned()));
            }
        }
        environment::read_platform(&sources.environment, &mut given);
        if let Some(path) = sources.file {
            file::read(&path, &mut given);
        }
        environment::read(sources.environment, &mut given);
        for Flag { key, name, value } in sources.flags {
            given.add(key, Origin::Flag(name), Raw::Text(value));
        }
        given
    }

    /// Takes the value of a key that a user wrote.
    pub(super) fn add(&mut self, key: &str, origin: Origin, raw: Raw) {
        if let Some(setting) = Setting::find(key) {
            self.set(setting, origin, raw);
        } else if Setting::is_section(key) {
            self.mistake(Mistake::Value {
                key: key.to_owned(),
                origin,
                expected: format!("a table, `[{key}]`"),
            });
        } else {
            let nearest = Setting::nearest(key).map(|setting| setting.key.to_owned());
            self.mistake(Mistake::UnknownKey {
                key: key.to_owned(),
                origin,
                nearest,
            });
        }
    }

    /// Takes a value of a known key.
    pub(super) fn set(&mut self, setting: &Setting, origin: Origin, raw: Raw) {
        self.values
            .entry(setting.key)
            .or_default()
            .push((origin, raw));
    }

    pub(super) fn mistake(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// Parses every value of a key and returns the last one that has the form.
    pub(super) fn read<T>(&mut self, key: &'static str, form: &Form<T>) -> Option<T> {
        let mut effective = None;
        for (origin, raw) in self.values.get(key).into_iter().flatten() {
            let is_none = matches!(raw, Raw::Text(text) if text.is_empty());
            let is_shared = matches!(origin, Origin::File { .. } | Origin::Flag(_));
            if form.secret && is_shared && !is_none {
                // Files are shared, and command lines are shown by `ps`.
                self.mistakes.push(Mistake::Value {
                    key: key.to_owned(),
                    origin: origin.clone(),
                    expected: SECRET.to_owned(),
                });
                continue;
            }
            let text = match raw {
                Raw::Text(text) => Some(text),
                Raw::Bare(text) if form.bare => Some(text),
                Raw::List(text) if form.is_list() => Some(text),
                Raw::Bare(_) | Raw::List(_) | Raw::Foreign => None,
            };
            match text.and_then(|text| form.parse(text)) {
                Some(value) => effective = Some(value),
                None => self.mistakes.push(Mistake::Value {
                    key: key.to_owned(),
                    origin: origin.clone(),
                    expected: text
                        .map_or_else(|| form.expected.clone(), |text| form.expected_of(text)),
                }),
            }
        }
        effective
    }

    /// The effective value of a key, as text, and its source.
    pub(super) fn effective(&self, key: &str) -> Option<(&Origin, &str)> {
        match self.values.get(key)?.last()? {
            (origin, Raw::Text(text) | Raw::Bare(text) | Raw::List(text)) => Some((origin, text)),
            (_, Raw::Foreign) => None,
        }
    }

    /// Whether a mistake hides what the value of a key was meant to be.
    pub(super) fn is_doubtful(&self, key: &str) -> bool {
        let effective = self
            .values
            .get(key)
            .and_then(|values| values.last())
            .map(|(origin, _)| origin);
        self.mistakes.iter().any(|mistake| match mistake {
            Mistake::Value {
                key: mistaken,
                origin,
                ..
            } => mistaken == key && Some(origin) == effective,
            // The file may have set it.
            Mistake::File { .. } => matches!(effective, Some(Origin::Default | Origin::Sandbox)),
            Mistake::UnknownKey { .. }
            | Mistake::UnknownVariable { .. }
            | Mistake::UnusableFile { .. } => false,
        })
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}
