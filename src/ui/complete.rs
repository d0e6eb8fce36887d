//! What Tab makes of half a word, and what is hinted at behind the cursor. Pure.

use udpchat_core::command::{FORMS, Form};
use udpchat_core::protocol::Name;

use super::talk::{COMMAND_MARK, Talk};

/// Where the word at the cursor begins, and what it may become, the likeliest first. Whatever is
/// taken has a space behind it.
pub(super) fn completions(talk: &Talk, line: &str, cursor: usize) -> (usize, Vec<String>) {
    let (before, behind) = line.split_at(cursor);
    let (start, mut found) = words(talk, before);
    if behind.starts_with(' ') {
        found.iter_mut().for_each(|word| word.truncate(word.trim_end().len()));
    }
    (start, found)
}

/// The same for a cursor at the end of the line.
fn words(talk: &Talk, before: &str) -> (usize, Vec<String>) {
    let start = before.rfind([' ', '\n']).map_or(0, |at| at + 1);
    let Some(command) = talk.command(before) else {
        let word = &before[start..];
        let found = if word.is_empty() { Vec::new() } else { names(talk, word) };
        return (start, found);
    };
    let Some((verb, rest)) = command.split_once(' ') else {
        let start = before.len() - command.len();
        let forms = FORMS.iter().filter(|form| form.verb.starts_with(command));
        return (start, forms.map(|form| format!("{} ", form.verb)).collect());
    };
    let argument = rest.trim_start().matches(' ').count();
    let wanted = form(verb).and_then(|form| placeholders(form).nth(argument));
    match wanted {
        Some("<name>") => (start, names(talk, &before[start..])),
        Some("<group>") => (start, spaced(talk.groups.iter(), &before[start..])),
        Some("<your name>") => (start, vec![format!("{} ", talk.me)]),
        _ => (start, Vec::new()),
    }
}

/// What could be typed next, for whoever does not know.
pub(super) fn hint(talk: &Talk, line: &str) -> Option<String> {
    if line.is_empty() {
        return Some(match talk.partner() {
            None => "to <name> to talk, help for more".to_owned(),
            Some(_) => format!("text, or {COMMAND_MARK}help"),
        });
    }
    let (verb, rest) = talk.command(line)?.split_once(' ')?;
    let typed = rest.split_whitespace().count();
    let at_a_word = rest.is_empty() || rest.ends_with(' ');
    let missing: Vec<&str> = placeholders(form(verb)?).skip(typed).collect();
    (at_a_word && !missing.is_empty()).then(|| missing.join(" "))
}

fn form(verb: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.verb == verb)
}

/// The parts of a form that the user fills in.
fn placeholders(form: &Form) -> impl Iterator<Item = &'static str> {
    let mut rest = form.usage;
    std::iter::from_fn(move || {
        let from = rest.find('<')?;
        let to = from + rest[from..].find('>')? + 1;
        let found = &rest[from..to];
        rest = &rest[to..];
        Some(found)
    })
}

fn names(talk: &Talk, begun: &str) -> Vec<String> {
    spaced(talk.names().filter(|name| **name != talk.me), begun)
}

/// Those names that begin so, with a space behind each.
fn spaced<'a>(names: impl Iterator<Item = &'a Name>, begun: &str) -> Vec<String> {
    let begins =
        |name: &str| name.get(..begun.len()).is_some_and(|start| start.eq_ignore_ascii_case(begun));
    names.filter(|name| begins(name.as_str())).map(|name| format!("{name} ")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::talk::tests::{message, talk};
    use super::*;
    use udpchat_core::client::Event;

    /// The line with each completion in it.
    fn completed(talk: &Talk, line: &str) -> Vec<String> {
        let (start, found) = completions(talk, line, line.len());
        found.into_iter().map(|end| format!("{}{end}", &line[..start])).collect()
    }

    #[test]
    fn first_comes_a_command_and_then_a_name() {
        let talk = talk(None);
        assert_eq!(completed(&talk, "se")[0], "send ");
        assert_eq!(completed(&talk, "/li")[0], "/list ");
        assert_eq!(completed(&talk, "re"), ["reply ", "reg "]);
        assert_eq!(completed(&talk, "send b"), ["send bob "]);
        assert_eq!(completed(&talk, "send B"), ["send bob "]);
        assert_eq!(completed(&talk, "send "), ["send bob ", "send carol ", "send dave "]);
        assert_eq!(completed(&talk, "to c"), ["to carol "]);
        assert_eq!(completed(&talk, "dereg "), ["dereg alice "]);
        for line in ["send bob c", "list b", "nonsense b", "send é", "zz"] {
            assert!(completed(&talk, line).is_empty(), "{line:?}");
        }
        assert_eq!(completed(&talk, "").len(), FORMS.len());
    }

    #[test]
    fn groups_are_offered_where_a_group_is_wanted() {
        let mut talk = talk(None);
        let team = || "team".parse().unwrap();
        assert!(completed(&talk, "send_group t").is_empty());
        talk.note(&Event::Groups(vec![team()]));
        assert_eq!(completed(&talk, "send_group t"), ["send_group team "]);
        assert_eq!(completed(&talk, "leave_group "), ["leave_group team "]);
        assert!(completed(&talk, "send t").is_empty());
    }

    #[test]
    fn who_wrote_last_is_offered_first() {
        let mut talk = talk(None);
        talk.note(&message("dave"));
        assert_eq!(completed(&talk, "send ")[0], "send dave ");
    }

    #[test]
    fn in_a_text_names_are_completed_and_commands_are_not() {
        let talk = talk(Some("bob"));
        assert_eq!(completed(&talk, "ask ca"), ["ask carol "]);
        assert_eq!(completed(&talk, "/lis")[0], "/list ");
        assert_eq!(completed(&talk, "/send c"), ["/send carol "]);
        for line in ["li", "", "ask ", "//li"] {
            assert!(completed(&talk, line).is_empty(), "{line:?}");
        }
    }

    #[test]
    fn the_middle_of_a_line_is_completed_too() {
        let talk = talk(None);
        assert_eq!(completions(&talk, "send b hello", 6), (5, vec!["bob".to_owned()]));
    }

    #[test]
    fn hints_say_what_is_missing() {
        let alone = talk(None);
        for (line, expected) in [
            ("", Some("to <name> to talk, help for more")),
            ("send ", Some("<name> <text>")),
            ("send bob ", Some("<text>")),
            ("/to ", Some("<name>")),
            ("send", None),
            ("send bo", None),
            ("send bob hi ", None),
            ("list ", None),
            ("what ", None),
        ] {
            assert_eq!(hint(&alone, line).as_deref(), expected, "{line:?}");
        }
        let together = talk(Some("bob"));
        assert_eq!(hint(&together, "").as_deref(), Some("text, or /help"));
        assert_eq!(hint(&together, "send "), None);
        assert_eq!(hint(&together, "/send ").as_deref(), Some("<name> <text>"));
    }
}
