//! Every run that ever failed and was made small by the simulator is a test: what `sim shrink` has
//! put into fixtures/regressions must hold now, and come to what the snapshot beside it says.
//!
//! A file that names a planted bug is run with it, and must break the promises that its snapshot
//! says: it holds the checkers to what they have noticed once.

use std::path::Path;

use sim::faults::bugs::name_of;
use sim::planning::scenario::Scenario;

#[test]
fn what_failed_once_holds_and_what_a_planted_bug_broke_is_noticed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/regressions");
    let Ok(files) = std::fs::read_dir(&folder) else { return };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|is| is == "json"));
    paths.sort();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.display();
        let scenario = Scenario::parse(&text).unwrap_or_else(|bad| panic!("{name}:{bad}"));
        let sim::search::replay::Replay { plan, violations, .. } =
            sim::search::replay::replay(&scenario);
        match scenario.bug {
            None => assert_eq!(violations, [], "{name}"),
            Some(bug) => {
                let bug = name_of(bug);
                assert!(!violations.is_empty(), "{name}: nobody notices the bug {bug} any more");
            }
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        settings.set_description(&scenario.about);
        settings.bind(|| {
            insta::assert_snapshot!(stem, sim::search::fixture::verdict(&plan, &violations));
        });
    }
}
