//! The store engine on its own: a small record on media that fill up and fail, and in folders.

// Marked as tests, so that clippy lets their helpers panic.
#[cfg(test)]
mod folders;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod full;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod ram;
