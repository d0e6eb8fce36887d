//! Every run that ever failed and was made small by the simulator is a test: what
//! `sim shrink` has put into fixtures/regressions must hold now.

use std::path::Path;

use sim::scenario::Scenario;

#[test]
fn what_failed_once_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/regressions");
    let Ok(files) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|is| is == "json")) {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.display();
        let plan = Scenario::parse(&text).unwrap_or_else(|bad| panic!("{name}:{bad}")).plan();
        let outcome = sim::world::run(&plan);
        assert_eq!(sim::check::check(&plan, &outcome), [], "{name}");
    }
}
