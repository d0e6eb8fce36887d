//! Every run that ever failed and was made small by the simulator is a test: what `sim shrink` has
//! put into fixtures/regressions must hold now, and come to what the snapshot beside it says.

use std::path::Path;

use sim::scenario::Scenario;

#[test]
fn what_failed_once_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/regressions");
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
        let plan = scenario.plan();
        let violations = sim::check::check(&plan, &sim::world::run(&plan));
        assert_eq!(violations, [], "{name}");
        let stem = path.file_stem().unwrap().to_str().unwrap();
        settings.set_description(&scenario.about);
        settings.bind(|| {
            insta::assert_snapshot!(stem, sim::keep::verdict(&plan, &violations));
        });
    }
}
