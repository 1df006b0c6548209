//! The reference of every key, for the README.

use super::settings::{SETTINGS, Setting};

/// A Markdown table of every key: its environment variable, default and meaning.
pub fn reference() -> String {
    let head = "| key | environment variable | default | meaning |\n|---|---|---|---|\n";
    SETTINGS
        .iter()
        .fold(head.to_owned(), |table, setting| table + &row(setting))
}

fn row(setting: &Setting) -> String {
    let default = match setting.sandbox {
        Some(sandbox) => format!(
            "{}; with `--sandbox` {}",
            code(setting.default),
            code(sandbox)
        ),
        None => code(setting.default),
    };
    let cells = [
        code(setting.key),
        code(&setting.variable()),
        default,
        format!("{} Expected: {}.", setting.doc, setting.expected),
    ];
    format!(
        "| {} |\n",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )
}

fn code(text: &str) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        format!("`{text}`")
    }
}
