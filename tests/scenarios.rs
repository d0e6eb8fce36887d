//! Every scenario in fixtures/scenarios is a test: the log and the server's state at the marked
//! points must be what they were. After a wanted change: `cargo insta review`, or
//! `INSTA_UPDATE=always cargo test --test scenarios` and a look at the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sim::log::Detail;
use sim::scenario::Scenario;

/// One test for each file.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    lost_ack_is_resent_and_shown_once
    offline_messages_are_delivered_on_registration
    recipient_gone_without_a_word_message_is_saved
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios")
}

fn replay(name: &str) {
    let path = folder().join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).expect("a fixture");
    let scenario = Scenario::parse(&text).unwrap_or_else(|bad| panic!("{name}.json:{bad}"));
    let plan = scenario.plan();
    let outcome = sim::world::run(&plan);
    assert_eq!(sim::check::check(&plan, &outcome.log, outcome.end), []);
    let mut settings = insta::Settings::clone_current();
    settings.set_description(&scenario.about);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(format!("{name}@log"), outcome.log.to_text(Detail::Story));
        let states: BTreeMap<_, _> =
            outcome.marks.iter().map(|mark| (&mark.name, &mark.state)).collect();
        insta::assert_json_snapshot!(format!("{name}@server"), states);
    });
}

#[test]
fn every_file_is_listed() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, LISTED.iter().map(|name| (*name).to_owned()).collect());
}
