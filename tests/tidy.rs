//! The house rules of CONTRIBUTING.md as tests: about the text of the repository, not its code.
//!
//! Knows nothing of what the code does. Each rule reports every place where it is broken.

use std::fs;
use std::path::{Path, PathBuf};

use udpchat_core::protocol::PacketKind;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Where Rust lives.
const SOURCE_FOLDERS: [&str; 4] = ["src", "sim/src", "sim/tests", "tests"];

/// What the cores must not have: runtime, database, randomness, command line.
const OUTSIDE: [&str; 4] = ["tokio", "redb", "rand", "clap"];

/// What of the standard library they must not have: clocks, sockets, files, threads, output.
const OUTSIDE_STD: [&str; 9] = [
    "Instant",
    "SystemTime",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "print!(",
    "println!(",
    "eprintln!(",
    "dbg!(",
];

/// A text file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    /// Its lines with their numbers, without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.contains(&name)
}

/// Every file below a folder, sorted; no build products.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().expect("an entry of a folder").to_string_lossy().into_owned();
        if path.is_dir() {
            if !is_one_of(&name, &["target", ".git"]) {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("a path below the root");
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

fn files(folder: &str, extension: &str) -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|own| own == extension));
    let read = |path: PathBuf| File {
        text: fs::read_to_string(&path).expect("a readable file"),
        path: relative(&path),
    };
    paths.into_iter().map(read).collect()
}

fn sources() -> Vec<File> {
    let sources: Vec<File> = SOURCE_FOLDERS.iter().flat_map(|folder| files(folder, "rs")).collect();
    assert!(sources.len() > 40, "only {} source files found", sources.len());
    sources
}

/// Sources other than this one, which names what it forbids.
fn other_sources() -> Vec<File> {
    sources().into_iter().filter(|file| file.path != "tests/tidy.rs").collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all the places at once.
fn none_of(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_source_begins_with_what_it_is_for() {
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    none_of("a source begins with //! and what it is for", &broken);
}

#[test]
fn files_and_lines_are_short() {
    let mut broken = Vec::new();
    for File { path, text } in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{path}: {lines} lines"));
        }
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            // A string that cannot be broken is left alone by rustfmt as well.
            if columns > COLUMNS_MAX && !line.contains('"') {
                broken.push(format!("{path}:{}: {columns} columns", at + 1));
            }
        }
    }
    let rule = format!("at most {FILE_LINES_MAX} lines of at most {COLUMNS_MAX} columns");
    none_of(&rule, &broken);
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    for File { path, text } in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let length = function_length(line, &lines[at..]);
            if length > FUNCTION_LINES_MAX {
                broken.push(format!("{path}:{}: {length} lines", at + 1));
            }
        }
    }
    none_of(&format!("a function has at most {FUNCTION_LINES_MAX} lines"), &broken);
}

/// The lines of a function that begins with this line, 0 if none does; as rustfmt writes them.
fn function_length(first: &str, lines: &[&str]) -> usize {
    let code = first.trim_start();
    let mut words = code.split_whitespace().skip_while(|word| {
        is_one_of(word, &["const", "async", "extern", "\"C\""]) || word.starts_with("pub")
    });
    if words.next() != Some("fn") || first.ends_with(';') || first.ends_with('}') {
        return 0;
    }
    let indent = &first[..first.len() - code.len()];
    for (at, line) in lines.iter().enumerate().skip(1) {
        match line.strip_prefix(indent) {
            Some("}") => return at + 1,
            // A method of a trait, without a body.
            Some(rest) if rest.starts_with(')') && rest.ends_with(';') => return 0,
            _ => {}
        }
    }
    0
}

#[test]
fn the_core_depends_on_nothing_of_the_outside() {
    let manifest = read("src/core/Cargo.toml");
    let begins = |line: &str, name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let broken: Vec<String> = manifest
        .lines()
        .filter(|line| OUTSIDE.iter().any(|name| begins(line, name)))
        .map(str::to_owned)
        .collect();
    none_of("the core has no runtime, database, randomness or command line", &broken);
}

#[test]
fn the_core_uses_nothing_of_the_outside() {
    let mut broken = Vec::new();
    for file in files("src/core", "rs") {
        for (at, line) in file.code() {
            let words = OUTSIDE_STD.iter().filter(|word| line.contains(*word));
            broken.extend(words.map(|word| format!("{}:{at}: {word}", file.path)));
        }
    }
    none_of("the core has no clock, socket, file, thread, output", &broken);
}

/// Whether the word is there, and not only as a part of a longer one.
fn mentions(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let goes_on = word.ends_with(is_part) && after.starts_with(is_part);
        !before.ends_with(is_part) && !goes_on
    })
}

#[test]
fn every_select_is_biased() {
    let mut broken = Vec::new();
    for file in other_sources() {
        let mut code = file.code();
        while let Some((at, line)) = code.next() {
            if line.contains("select! {") && code.next().is_none_or(|(_, l)| l.trim() != "biased;")
            {
                broken.push(format!("{}:{at}", file.path));
            }
        }
    }
    none_of("a select! begins with biased; or a run cannot be repeated", &broken);
}

#[test]
fn no_test_is_switched_off_and_no_snapshot_is_undecided() {
    let mut broken = Vec::new();
    for file in other_sources() {
        let ignored = file.code().filter(|(_, line)| line.contains("#[ignore"));
        broken.extend(ignored.map(|(at, _)| format!("{}:{at}: ignored", file.path)));
    }
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    let undecided = paths.iter().map(|path| relative(path));
    broken.extend(
        undecided.filter(|path| path.ends_with(".snap.new") || path.ends_with(".pending-snap")),
    );
    none_of("every test runs and every snapshot is accepted or gone", &broken);
}

#[test]
fn every_fixture_is_a_test() {
    let Ok(list) = fs::read_to_string(root().join("sim/tests/scenarios.rs")) else { return };
    let mut broken = Vec::new();
    for File { path, .. } in files("fixtures", "json") {
        // sim/tests/regressions.rs takes all there are.
        if path.starts_with("fixtures/regressions/") {
            if !root().join(&path).with_extension("snap").exists() {
                broken.push(format!("{path}: no snapshot beside it"));
            }
            continue;
        }
        // Attacks that only keys will hold off: sim/tests/fences.rs takes all there are.
        if path.starts_with("fixtures/adversary/expected/") {
            continue;
        }
        let stem = Path::new(&path).file_stem().unwrap().to_string_lossy().into_owned();
        if !mentions(&list, &stem) && !mentions(&list, &stem.replace('-', "_")) {
            broken.push(path);
        }
    }
    none_of("a fixture is a test, listed in sim/tests/scenarios.rs or a regression", &broken);
}

#[test]
fn what_is_cited_of_the_documents_is_there() {
    let mut broken = Vec::new();
    for file in other_sources() {
        for (at, line) in file.text.lines().enumerate() {
            for (document, section) in citations(line) {
                let text = fs::read_to_string(root().join(document)).unwrap_or_default();
                let is_it = |line: &str| line.trim_start_matches('#').trim() == section;
                if !text.lines().any(|line| line.starts_with('#') && is_it(line)) {
                    broken.push(format!("{}:{}: {document}, {section:?}", file.path, at + 1));
                }
            }
        }
    }
    none_of("a cited section exists", &broken);
}

/// The document and section of every `docs/<file>.md, "<section>"` in a line.
fn citations(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.match_indices("docs/").filter_map(|(at, _)| {
        let (document, rest) = line[at..].split_once(", \"")?;
        let (section, _) = rest.split_once('"')?;
        document.ends_with(".md").then_some((document, section))
    })
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(files("", "md").into_iter().filter(|file| !file.path.contains('/')));
    let mut broken = Vec::new();
    for File { path, text } in documents {
        let folder = Path::new(&path).parent().unwrap();
        for (at, _) in text.match_indices("](") {
            let Some((target, _)) = text[at + 2..].split_once(')') else { continue };
            let (target, _) = target.split_once('#').unwrap_or((target, ""));
            let is_local = !target.is_empty() && !target.contains("://");
            if is_local && !root().join(folder).join(target).exists() {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    none_of("a link leads to a file", &broken);
}

#[test]
fn the_documented_numbers_are_those_of_the_code() {
    let tables = read("docs/protocol.md");
    let mut broken = Vec::new();
    for path in [
        "src/core/protocol/limits.rs",
        "src/core/retransmission.rs",
        "src/core/client/timing.rs",
        "src/core/server/timing.rs",
    ] {
        let text = read(path);
        for line in text.lines() {
            let Some((name, value)) = constant(line) else { continue };
            let row = format!("| `{name}` | {value} |");
            if !tables.contains(&row) {
                broken.push(format!("{path}: no row \"{row}\""));
            }
        }
    }
    none_of("docs/protocol.md has a row for every constant, with its value", &broken);
}

#[test]
fn words_have_one_meaning() {
    let sources = sources();
    let is_product =
        |file: &&File| !file.path.starts_with("tests") && !file.path.contains("/tests");
    let product: Vec<&File> = sources.iter().filter(is_product).collect();
    let stands =
        |word: &str| product.iter().find(|file| file.code().any(|(_, line)| mentions(line, word)));
    let words = |cell: &str| -> Vec<String> {
        cell.split(',').map(|word| word.trim().replace('`', "")).filter(|w| !w.is_empty()).collect()
    };
    let glossary = read("docs/glossary.md");
    let rows = glossary.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix('|')?.split(" | ");
        Some((cells.next()?, words(cells.next()?), words(cells.next()?)))
    });
    let mut broken = Vec::new();
    let mut found = 0;
    for (what, used, replaced) in rows.filter(|(what, ..)| *what != "what it is") {
        found += 1;
        for word in used.iter().filter(|word| stands(word).is_none()) {
            broken.push(format!("{word}, {what}, is no name in the code"));
        }
        for word in &replaced {
            broken.extend(stands(word).map(|it| format!("{}: {word} is {used:?}", it.path)));
        }
    }
    assert!(found > 20, "only {found} words");
    none_of("docs/glossary.md has each word, and none that it replaced comes back", &broken);
}

#[test]
fn what_a_newcomer_searches_is_where_the_guide_says() {
    let guide = read("CONTRIBUTING.md");
    let rows = guide.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").skip(1);
        let code = |cell: &'_ str| cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        Some((code(cells.next()?)?, code(cells.next()?)?)).filter(|(_, path)| path.ends_with(".rs"))
    });
    let rows: Vec<_> = rows.filter(|(_, path)| path.contains('/')).collect();
    assert!(rows.len() > 15, "only {} rows", rows.len());
    let is_wrong = |(word, path): &&(String, String)| !read(path).contains(word.as_str());
    let wrong: Vec<String> =
        rows.iter().filter(is_wrong).map(|(word, path)| format!("{path}: {word}")).collect();
    none_of("CONTRIBUTING.md says where to find what", &wrong);
}

/// The name of a public constant, and its value as the documents write it.
fn constant(line: &str) -> Option<(&str, String)> {
    let (name, rest) = line.strip_prefix("pub const ")?.split_once(": ")?;
    let (_, value) = rest.strip_suffix(';')?.split_once(" = ")?;
    let argument = |function| value.strip_prefix(function)?.strip_suffix(')');
    let number = |digits: &str| digits.replace('_', ",");
    let value = if let Some(seconds) = argument("Duration::from_secs(") {
        format!("{} s", number(seconds))
    } else if let Some(milliseconds) = argument("Duration::from_millis(") {
        format!("{} ms", number(milliseconds))
    } else {
        number(value)
    };
    Some((name, value))
}

#[test]
fn every_packet_is_documented() {
    let tables = read("docs/protocol.md");
    let row = |kind: &PacketKind| format!("| `{}` |", kind.name());
    let broken: Vec<String> =
        PacketKind::ALL.iter().map(row).filter(|row| !tables.contains(row)).collect();
    none_of("docs/protocol.md has a row for every packet", &broken);
}

#[test]
fn the_tests_that_the_failures_name_exist() {
    let sources = sources();
    let document = read("docs/original.md");
    let table = document.split("## Demonstrated failures").nth(1).unwrap();
    let mut named = 0;
    let mut broken = Vec::new();
    for word in table.split('`').filter(|word| word.matches("::").count() >= 1) {
        let name = word.rsplit("::").next().unwrap();
        let is_module = matches!(name, "at_our_server" | "failures" | "chat");
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let function = format!("fn {name}(");
        named += usize::from(is_name);
        if is_name && !is_module && !sources.iter().any(|file| file.text.contains(&function)) {
            broken.push(word.to_owned());
        }
    }
    assert!(named > 60, "only {named} tests named");
    none_of("a test that docs/original.md names exists", &broken);
}

#[test]
fn the_tests_that_the_protocol_names_exist() {
    let sources = sources();
    let document = read("docs/protocol.md");
    let mut broken = Vec::new();
    for word in document.split('`').filter(|word| word.matches('_').count() >= 3) {
        let is_name = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let function = format!("fn {word}(");
        let is_test = || sources.iter().any(|file| file.text.contains(&function));
        let folders = ["fixtures/scenarios", "fixtures/adversary/expected"];
        let is_scenario =
            || folders.iter().any(|it| root().join(it).join(word).with_extension("json").exists());
        if is_name && !is_test() && !is_scenario() {
            broken.push(word.to_owned());
        }
    }
    none_of("a test that docs/protocol.md names exists", &broken);
}
