//! Where users keep what programs need, by the XDG Base Directory Specification.
//!
//! Knows the rule, and no program's files.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder that the variable names, else this one in the home folder. A path that is not
/// absolute does not count.
pub fn folder(
    variable: Option<OsString>,
    home: Option<OsString>,
    below_home: &str,
) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let in_home = || home.map(PathBuf::from).filter(absolute).map(|home| home.join(below_home));
    variable.map(PathBuf::from).filter(absolute).or_else(in_home)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn data_is_where_the_user_keeps_it() {
        for (xdg, home, wanted) in [
            (Some("/data"), Some("/home/alice"), Some("/data")),
            (None, Some("/home/alice"), Some("/home/alice/.local/share")),
            (Some(""), Some("/home/alice"), Some("/home/alice/.local/share")),
            (Some("data"), Some("/home/alice"), Some("/home/alice/.local/share")),
            (Some("data"), Some(""), None),
            (None, None, None),
        ] {
            let found = folder(xdg.map(OsString::from), home.map(OsString::from), ".local/share");
            assert_eq!(found, wanted.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }
}
