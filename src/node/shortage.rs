//! What a process may have too little of, and what to do about it.

use std::io;

/// What to do about an error that a limit of the process or the system has caused: too few
/// descriptors, too small files. None if it is another one.
#[must_use]
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    if is_want_of_descriptors(error) {
        return Some("too few files may be open, raise the limit (ulimit -n)");
    }
    let is_too_large = error.kind() == io::ErrorKind::FileTooLarge;
    is_too_large.then_some("files may not be as large as that, raise the limit (ulimit -f)")
}

/// Of this process, or of all together.
fn is_want_of_descriptors(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let within = error.get_ref().and_then(|within| within.downcast_ref::<io::Error>());
        let errno = Errno::from_io_error(within.unwrap_or(error));
        matches!(errno, Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
