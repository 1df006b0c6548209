//! Everything by its effect, through [`Config::load`].

mod access;
mod keys;
mod merge;
mod properties;
mod shown;
mod unprovable;
mod values;

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    settings::{SETTINGS, Setting},
    *,
};

/// A configuration file that is removed with its value.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: impl AsRef<[u8]>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("incidentgate-{}-{number}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn environment<const N: usize>(variables: [(&str, &str); N]) -> BTreeMap<OsString, OsString> {
    variables
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}

fn flag(key: &'static str, value: &str) -> Flag {
    Flag {
        key,
        name: "--test",
        value: value.to_owned(),
    }
}

fn flags<const N: usize>(flags: [(&'static str, &str); N]) -> Sources {
    Sources {
        flags: flags.map(|(key, value)| flag(key, value)).into(),
        ..Sources::default()
    }
}

fn load_text(text: &str) -> Result<Loaded, Mistakes> {
    let file = TempFile::new(text);
    Config::load(Sources {
        file: Some(file.0.clone()),
        ..Sources::default()
    })
}

/// The lines after the headline.
fn mistakes(result: Result<Loaded, Mistakes>) -> Vec<String> {
    let text = result
        .expect_err("the configuration has a mistake")
        .to_string();
    text.lines()
        .skip(1)
        .map(|line| line.trim_start().to_owned())
        .collect()
}
