//! Modules of a crate that lie side by side depend on each other in one direction only.
//!
//! Reads paths in the sources, as they are written; the compiler holds the crates themselves. What
//! a module and those inside it know of each other is left alone, and so are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders of the crates' roots.
const CRATES: [&str; 4] = ["src", "src/core", "src/node", "sim/src"];

/// A module's path below its crate, the crate's own is empty.
type Module = Vec<String>;

/// Which of the modules inside one know which.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every module of a crate and its code, without tests.
fn modules(root: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    collect(root, &Module::new(), &root.join("lib.rs"), &mut found);
    found
}

fn collect(folder: &Path, module: &Module, file: &Path, found: &mut BTreeMap<Module, String>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let code = without_tests(&text);
    for line in code.lines() {
        let Some(name) = declared(line) else { continue };
        let inner = [module.as_slice(), &[name.to_owned()]].concat();
        collect(&folder.join(name), &inner, &folder.join(name).with_extension("rs"), found);
    }
    found.insert(module.clone(), code);
}

/// The module in a file of its own that this line declares.
fn declared(line: &str) -> Option<&str> {
    let (visibility, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let is_declaration = visibility.is_empty() || visibility.starts_with("pub");
    is_declaration.then_some(name)
}

/// What is compiled without tests, which are last, and no comments.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        let is_for_tests = line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
        if !is_for_tests {
            code.push_str(line);
            code.push('\n');
        } else if lines.next().is_none_or(|next| !next.ends_with(';')) {
            break;
        }
    }
    code
}

/// Every path in the code of a module that begins with `crate` or `super`, from the crate on.
fn paths(module: &Module, code: &str) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(is_in_name) && !code[..at].ends_with('$') {
            follow(&Module::new(), &code[at + "crate::".len()..], &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].ends_with(is_in_name) {
            continue;
        }
        let mut base = module.clone();
        let mut rest = &code[at..];
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        follow(&base, rest, &mut found);
    }
    found
}

const fn is_in_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Adds the paths that a piece of code begins with, a group of them one by one.
fn follow(base: &Module, code: &str, found: &mut BTreeSet<Module>) {
    let Some(group) = code.strip_prefix('{') else {
        let end = code.find(|letter| !is_in_name(letter)).unwrap_or(code.len());
        let path = [base.as_slice(), &[code[..end].to_owned()]].concat();
        match code[end..].strip_prefix("::") {
            Some(rest) => follow(&path, rest, found),
            None => drop(found.insert(path)),
        }
        return;
    };
    let mut depth = 0;
    let mut begins = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '}' if depth == 0 => return,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if begins && depth == 0 && is_in_name(letter) => {
                begins = false;
                follow(base, &group[at..], found);
            }
            ',' if depth == 0 => begins = true,
            _ => {}
        }
    }
}

/// By module, which of those inside it know which others.
fn graphs(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, Graph> {
    let mut graphs: BTreeMap<Module, Graph> = BTreeMap::new();
    for (module, code) in modules {
        for mut path in paths(module, code) {
            while !modules.contains_key(&path) {
                path.pop();
            }
            let common = module.iter().zip(&path).take_while(|(own, other)| own == other).count();
            if let (Some(from), Some(to)) = (module.get(common), path.get(common)) {
                let graph = graphs.entry(module[..common].to_vec()).or_default();
                graph.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    graphs
}

/// Those that come back to themselves: what is left when whoever knows none of them is taken away,
/// and whoever none of them knows.
fn circle(mut graph: Graph) -> Vec<String> {
    loop {
        let known: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        let knowing: BTreeSet<String> = graph.keys().cloned().collect();
        graph.retain(|name, others| known.contains(name) && !others.is_disjoint(&knowing));
        if graph.len() == before {
            return graph.into_keys().collect();
        }
    }
}

#[test]
fn no_modules_know_each_other_in_a_circle() {
    let mut broken = Vec::new();
    let mut knowing = 0;
    for name in CRATES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        for (module, graph) in graphs(&modules(&root)) {
            knowing += graph.len();
            let circle = circle(graph);
            if !circle.is_empty() {
                broken.push(format!("{name}, {:?}: {}", module.join("::"), circle.join(", ")));
            }
        }
    }
    // They are found as they should be.
    assert!(knowing > 80, "only {knowing} modules that know another");
    assert!(broken.is_empty(), "modules that know each other:\n  {}", broken.join("\n  "));
}

#[test]
fn a_circle_is_found_however_its_paths_are_written() {
    let graph_with = |code: &str| {
        let files = [("a", code), ("b", "use super::{c, a::X};"), ("c", "")];
        let modules = files.map(|(name, code)| (vec![name.to_owned()], code.to_owned()));
        let modules = modules.into_iter().chain([(Module::new(), String::new())]).collect();
        graphs(&modules).remove(&Module::new()).expect("they know each other")
    };
    for code in ["use crate::b;", "use crate::{c, b::{d, e}};", "fn f() { super::b::d() }"] {
        assert_eq!(circle(graph_with(code)), ["a", "b"], "{code}");
    }
    for code in ["use crate::c;", "use super::c::b;", "use udpchat_core::b;"] {
        assert_eq!(circle(graph_with(code)), [""; 0], "{code}");
    }
}
