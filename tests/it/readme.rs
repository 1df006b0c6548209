//! README.md tells the truth: its tables are the code's, its commands run, and each
//! of them prints what it says.
//!
//! | block | what happens to it |
//! |---|---|
//! | `console` | run here, in order, against one gateway, and as printed by `.ci/run` |
//! | `console ci` | run by `.ci/run` only: needs curl, grpcurl or a shell |
//! | `sh` | each line is in `.ci/run`, word for word |
//! | `toml` | is a configuration without mistakes |
//! | `text`, `yaml` | to be read |

use std::{fs, path::Path};

use incidentgate::{
    config::{Config, Sources},
    telemetry::names,
};

use crate::support::{
    program::{Server, TempFile, run},
    source::read,
};

/// A fenced block.
struct Block<'a> {
    /// What stands behind the opening fence.
    kind: &'a str,
    text: &'a str,
    line: usize,
}

/// The blocks of a kind.
fn blocks<'a>(readme: &'a str, kind: &str) -> Vec<Block<'a>> {
    let blocks: Vec<_> = all_blocks(readme)
        .into_iter()
        .filter(|block| block.kind == kind)
        .collect();
    assert!(!blocks.is_empty(), "README.md has no block of {kind}");
    blocks
}

fn all_blocks(readme: &str) -> Vec<Block<'_>> {
    let mut line = 1;
    let mut blocks = Vec::new();
    for (index, part) in readme.split("```").enumerate() {
        if index % 2 == 1 {
            let (kind, text) = part.split_once('\n').unwrap();
            blocks.push(Block { kind, text, line });
        }
        line += part.matches('\n').count();
    }
    blocks
}

/// The text between `<!-- name -->` and `<!-- /name -->`.
#[track_caller]
fn assert_part(name: &str, want: &str) {
    let readme = read("README.md");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let rest = readme.split_once(&begin).map(|(_, rest)| rest);
    let Some((got, _)) = rest.and_then(|rest| rest.split_once(&end)) else {
        panic!("README.md has no {begin}");
    };
    assert!(
        got == want,
        "put this between {begin}and {end} of README.md:\n{want}"
    );
}

/// Times differ from run to run: any number of seconds is `S`, and any day's time is `TIME`.
fn without_chance(text: &str) -> String {
    let is_of_time = |c: char| c.is_ascii_digit() || "-:T.".contains(c);
    let text = without_ids(text);
    let mut words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    for word in &mut words {
        let is_seconds = word.contains('.') && word.parse::<f64>().is_ok();
        let time = word.strip_suffix('Z').unwrap_or_default();
        if is_seconds {
            *word = "S";
        } else if time.len() == 19 && time.chars().all(is_of_time) {
            *word = "TIME";
        }
    }
    words.join(" ")
}

/// Ids differ from run to run: any hexadecimal word of a GUID's form is GUID.
fn without_ids(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
    words
        .map(|word| {
            let id = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            let is_guid = id.len() == 36 && id.matches('-').count() == 4;
            if is_guid {
                word.replace(id, "GUID")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

#[test]
fn the_status_table_is_the_codes() {
    use incidentgate::rpc::table;

    assert_part("status table", &table::reference());
    assert_part("exceptions", &table::idempotent_reference());
}

#[test]
fn the_configuration_table_is_the_codes() {
    assert_part("configuration table", &incidentgate::config::reference());
}

#[test]
fn every_block_is_of_a_kind_that_something_checks() {
    let readme = read("README.md");
    for Block { kind, line, .. } in all_blocks(&readme) {
        let known = ["console", "console ci", "sh", "toml", "text", "yaml"];
        assert!(known.contains(&kind), "README.md:{line}: {kind}");
    }
}

#[test]
fn the_commands_print_what_the_readme_shows() {
    let readme = read("README.md");
    let server = Server::with_sandbox();
    let endpoint = server.endpoint();
    for block in blocks(&readme, "console") {
        let mut printed = String::new();
        let mut code = 0;
        for command in block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
        {
            printed = format!("{printed}$ {command}\n");
            if command == "echo $?" {
                printed = format!("{printed}{code}\n");
                continue;
            }
            let arguments = command
                .strip_prefix("incidentgate ")
                .or_else(|| command.strip_prefix("cargo run --release -- "));
            let Some(arguments) = arguments.filter(|text| !text.contains(['\'', '"', '|', '$']))
            else {
                panic!(
                    "README.md:{}: make this `console ci`: {command}",
                    block.line
                );
            };
            let mut arguments: Vec<_> = arguments.split(' ').collect();
            if matches!(
                arguments[0],
                "execute" | "get" | "health" | "watch" | "list"
            ) {
                arguments.extend(["--endpoint", &endpoint]);
            }
            let ended = run(&arguments);
            code = ended.code.unwrap();
            printed = printed + &ended.stdout + &ended.stderr;
        }
        assert!(
            without_chance(&printed) == without_chance(block.text),
            "README.md:{}: the output is now\n{printed}",
            block.line
        );
    }
}

#[test]
fn the_continuous_integration_runs_the_other_commands() {
    let (readme, script) = (read("README.md"), read(".ci/run"));
    for block in blocks(&readme, "sh") {
        for command in block.text.lines() {
            assert!(
                script.lines().any(|line| line.contains(command)),
                "README.md:{}: .ci/run does not run {command}",
                block.line
            );
        }
    }
    assert!(script.contains("tests/python/readme.py"));
}

#[test]
fn the_example_configuration_has_no_mistake() {
    let readme = read("README.md");
    for block in blocks(&readme, "toml") {
        let file = TempFile::new("example.toml", block.text);
        // Without `check`, which would open the files that the example names.
        let loaded = Config::load(Sources {
            file: Some(file.path().into()),
            ..Sources::default()
        });
        if let Err(mistakes) = loaded {
            panic!("README.md:{}: {mistakes}", block.line);
        }
    }
}

/// What a user reads.
const PAGES: [&str; 9] = [
    "README.md",
    "clients/go/README.md",
    "clients/java/README.md",
    "clients/node/README.md",
    "clients/python/README.md",
    "conformance/README.md",
    "deploy/README.md",
    "docs/api.md",
    "fuzz/README.md",
];

#[test]
fn every_link_inside_the_project_leads_somewhere() {
    for page in PAGES {
        let text = read(page);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            assert!(leads_somewhere(page, target), "{page} links to {target}");
        }
    }
}

/// Whether the file is there, and has the heading if one is named.
fn leads_somewhere(page: &str, target: &str) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(page).parent().unwrap();
    let file = if file.is_empty() {
        Path::new(page).to_owned()
    } else {
        folder.join(file)
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists()
        && (heading.is_empty() || has_heading(&read(file.to_str().unwrap()), heading))
}

fn has_heading(text: &str, wanted: &str) -> bool {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        // As GitHub makes anchors: letters, digits and hyphens stay.
        .map(|line| line.replace(' ', "-").replace(['\'', ','], ""))
        .any(|heading| heading == wanted)
}

#[test]
fn the_layout_names_every_module() {
    let readme = read("README.md");
    let layout = readme.split("## Layout").nth(1).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.trim_end_matches(".rs");
        let is_named = [format!("{stem}.rs"), format!("{stem}/")]
            .iter()
            .any(|name| layout.contains(name));
        assert!(is_named, "README.md, Layout: src/{name} is missing");
    }
}

#[test]
fn the_names_of_metrics_are_the_codes() {
    let readme = read("README.md");
    for name in [
        names::RPC_SERVER_CALL_DURATION,
        names::HTTP_CLIENT_REQUEST_DURATION,
        names::ACTION_OUTCOMES,
        names::CALLS_IN_FLIGHT,
        names::CALLS_DETACHED,
        names::WATCH_TASKS,
        names::ATTEMPT_RESENDS,
        names::RECONCILIATIONS,
        names::AUDIT_RECORDS,
        names::AUDIT_COMMIT_DURATION,
        names::FETCH_DURATION,
        names::TLS_RELOADS,
        names::CONNECTIONS_REFUSED,
        names::THROTTLE_CLOSED,
        names::THROTTLE_REFUSED,
        names::CALLS_WAITING,
        names::CALLS_WITHOUT_PLACE,
    ] {
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "README.md: {name}"
        );
    }
}
