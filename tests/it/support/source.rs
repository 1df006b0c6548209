//! The program's own source as a test reads it: without comments, literals and
//! test modules, by module.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// One file of `src/`, and what it mentions.
#[derive(Debug)]
pub(crate) struct Source {
    /// As `src/graph/client.rs`.
    pub(crate) file: String,
    /// The module of the crate that it belongs to: `graph`; `lib` and `main` for the roots.
    pub(crate) module: String,
    pub(crate) mentions: Vec<Mention>,
}

/// The first name of a path.
#[derive(Debug)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) name: String,
    /// Whether it is a module of this crate, rather than another crate or a local name.
    pub(crate) inside: bool,
}

/// Every `.rs` file under a folder, as `src/graph/client.rs`.
pub(crate) fn rust_files(folder: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(root()).unwrap();
                files.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
    files
}

/// The text of a file of the project.
pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The sources that make the program, and every file that a `mod` leads to, those
/// of tests included.
pub(crate) fn crate_sources() -> (Vec<Source>, BTreeSet<String>) {
    let mut sources = Vec::new();
    let mut reached = BTreeSet::new();
    for crate_root in ["lib", "main"] {
        walk(
            &format!("src/{crate_root}.rs"),
            &[],
            true,
            &mut sources,
            &mut reached,
        );
    }
    (sources, reached)
}

fn walk(
    file: &str,
    path: &[String],
    ships: bool,
    sources: &mut Vec<Source>,
    reached: &mut BTreeSet<String>,
) {
    reached.insert(file.to_owned());
    let all = blank_literals(&read(file));
    let shipped = blank_tests(&all);
    let folder = match path {
        [] => PathBuf::from("src"),
        _ => Path::new(file).with_extension(""),
    };
    for name in submodules(&all) {
        let child = folder.join(format!("{name}.rs"));
        let ships = ships && submodules(&shipped).contains(&name);
        let path = [path, &[name]].concat();
        walk(child.to_str().unwrap(), &path, ships, sources, reached);
    }
    if ships {
        let stem = Path::new(file).file_stem().unwrap().to_str().unwrap();
        sources.push(Source {
            file: file.to_owned(),
            module: path.first().map_or(stem, String::as_str).to_owned(),
            mentions: mentions(&shipped, path.len()),
        });
    }
}

/// The names in `mod name;`.
fn submodules(text: &str) -> BTreeSet<String> {
    let words = tokens(text);
    words
        .windows(3)
        .filter(|three| three[0].1 == "mod" && three[2].1 == ";")
        .map(|three| three[1].1.to_owned())
        .collect()
}

/// The first names of all paths. `depth` counts the modules above: that many
/// `super` lead to the root of the crate.
fn mentions(text: &str, depth: usize) -> Vec<Mention> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", |token| token.1);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let starts = at.checked_sub(1).is_none_or(|before| word(before) != "::");
        if !starts || word(at + 1) != "::" && !(at > 0 && word(at - 1) == "use") {
            continue;
        }
        let supers = (0..8).take_while(|n| word(at + 2 * n) == "super").count();
        let rest = match word(at) {
            "crate" | "incidentgate" => at + 2,
            "super" if supers >= depth => at + 2 * supers,
            first => {
                found.push(mention(tokens[at].0, first, false));
                continue;
            }
        };
        if word(rest) == "{" {
            found.extend(first_names(&tokens[rest..]));
        } else {
            found.push(mention(tokens[at].0, word(rest), true));
        }
    }
    found
}

/// The names right below `{` in `crate::{a, b::{c, d}}`: a and b.
fn first_names(tokens: &[(usize, &str)]) -> Vec<Mention> {
    let mut depth = 0;
    let mut names = Vec::new();
    for pair in tokens.windows(2) {
        let (line, next) = pair[1];
        match pair[0].1 {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].1, "{" | ",") && next != "}" {
            names.push(mention(line, next, true));
        }
    }
    names
}

fn mention(line: usize, name: &str, inside: bool) -> Mention {
    let name = name.to_owned();
    Mention { line, name, inside }
}

/// Words, `::`, and single other characters, with their lines.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (number, mut rest) in (1..).zip(text.lines()) {
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push((number, token));
            }
            rest = after;
        }
    }
    tokens
}

/// Blanks what `#[cfg(test)]` stands before; lines stay where they are.
fn blank_tests(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.find("#[cfg(test)]") {
        let mut depth = 0;
        let length = text[start..]
            .find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0 && matches!(c, '}' | ';')
            })
            .map_or(text.len() - start, |end| end + 1);
        let blank = blanked(&text[start..start + length]);
        text.replace_range(start..start + length, &blank);
    }
    text
}

/// Blanks comments, texts and characters; lines stay where they are.
fn blank_literals(text: &str) -> String {
    let mut blank = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_name = blank.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = literal(rest, after_name);
        match length {
            0 => blank.push(first),
            _ => blank.push_str(&blanked(&rest[..length])),
        }
        rest = &rest[length.max(first.len_utf8())..];
    }
    blank
}

/// How long the comment or literal is that the text begins with.
fn literal(text: &str, after_name: bool) -> usize {
    let through = |from: usize, end: &str| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return through(2, "*/");
    }
    let hashes = text[1.min(text.len())..]
        .bytes()
        .take_while(|b| *b == b'#')
        .count();
    if text.starts_with('r') && !after_name && text[1 + hashes..].starts_with('"') {
        return through(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
    }
    if text.starts_with('"') {
        return escaped_through(text, '"');
    }
    // `'a'` and `'\n'`, but not the lifetime `'a`.
    let mut next = text.chars().skip(1);
    let is_character =
        text.starts_with('\'') && (next.next() == Some('\\') || next.next() == Some('\''));
    if is_character {
        escaped_through(text, '\'')
    } else {
        0
    }
}

fn escaped_through(text: &str, end: char) -> usize {
    let mut escaped = false;
    let close = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == end && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    close.map_or(text.len(), |(at, _)| at + 1)
}

fn blanked(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { ' ' })
        .collect()
}

#[test]
fn sees_what_ships_and_nothing_else() {
    let text = r##"
        use crate::{a::{b, c}, d};
        // crate::comment
        const X: &str = r#"crate::text "{"#; const Y: char = '"'; fn f<'a>(x: &'a str) {}
        #[cfg(test)]
        mod tests { use crate::test; fn g() { "}" } }
        #[cfg(test)]
        mod more;
        mod real;
        use super::super::e::F;
        use super::sibling;
        fn h() { reqwest::get(crate::g::H); x::reqwest::no(); }
        use tonic as other;
    "##;
    let text = blank_tests(&blank_literals(text));
    let seen: Vec<_> = mentions(&text, 2)
        .into_iter()
        .map(|mention| (mention.line, mention.name, mention.inside))
        .collect();
    let seen: Vec<_> = seen
        .iter()
        .map(|(line, name, inside)| (*line, name.as_str(), *inside))
        .collect();
    assert_eq!(
        seen,
        [
            (2, "a", true),
            (2, "d", true),
            (2, "a", false),
            (10, "e", true),
            (11, "super", false),
            (12, "reqwest", false),
            (12, "g", true),
            (12, "x", false),
            (13, "tonic", false),
        ]
    );
    assert_eq!(submodules(&text).into_iter().collect::<Vec<_>>(), ["real"]);
}
