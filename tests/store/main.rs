//! The store engine on its own: a small record on media that fill up and fail, and in folders.

mod folders;
mod formats;
mod full;
mod notes;
mod ram;
