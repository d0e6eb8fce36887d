//! The table as a program reads it: whole after each sign-in, and from then on what has changed.
//!
//! Knows what was said of it last.

use std::collections::BTreeSet;

use udpchat_core::client::{Event, Listing};
use udpchat_core::protocol::Name;

use super::{EventObject, event, written};

/// What a program knows of the table.
#[derive(Debug, Default)]
pub(in crate::ui) struct Tables {
    told: Option<Listing>,
}

impl Tables {
    /// An event's object, in which a table is what has changed since the one before.
    pub(in crate::ui) fn event(&mut self, said: &Event) -> String {
        match said {
            Event::Registered { .. } => self.told = None,
            Event::Table(listing) => {
                if let Some(before) = self.told.replace(listing.clone()) {
                    return written(&changes(&before, listing));
                }
            }
            _ => {}
        }
        event(said)
    }
}

fn changes<'a>(before: &'a Listing, now: &'a Listing) -> EventObject<'a> {
    let new = |now: &'a [Name], before: &[Name]| -> Vec<&'a Name> {
        let before: BTreeSet<&Name> = before.iter().collect();
        now.iter().filter(|name| !before.contains(name)).collect()
    };
    let here: BTreeSet<&Name> = now.online.iter().chain(&now.offline).collect();
    let known = before.online.iter().chain(&before.offline);
    EventObject::TableChanges {
        online: new(&now.online, &before.online),
        offline: new(&now.offline, &before.offline),
        gone: known.filter(|name| !here.contains(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(online: &[&str], offline: &[&str]) -> Event {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Event::Table(Listing { online: names(online), offline: names(offline) })
    }

    #[test]
    fn a_table_is_told_whole_after_a_sign_in_and_then_by_what_has_changed() {
        let registered = Event::Registered { name: "alice".parse().unwrap(), back: true };
        let mut tables = Tables::default();
        for (event, object) in [
            (
                table(&["alice", "bob"], &["carol"]),
                r#"{"event":"table","online":["alice","bob"],"offline":["carol"]}"#,
            ),
            (
                table(&["alice", "carol"], &["bob"]),
                r#"{"event":"table_changes","online":["carol"],"offline":["bob"]}"#,
            ),
            (
                table(&["alice"], &["bob"]),
                r#"{"event":"table_changes","online":[],"offline":[],"gone":["carol"]}"#,
            ),
            (registered, r#"{"event":"registered","name":"alice","back":true}"#),
            (
                table(&["alice", "dave"], &[]),
                r#"{"event":"table","online":["alice","dave"],"offline":[]}"#,
            ),
        ] {
            assert_eq!(tables.event(&event), object);
        }
    }
}
