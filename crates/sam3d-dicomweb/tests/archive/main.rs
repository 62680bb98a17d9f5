//! The client against a small archive of its own, which does what real ones should not.

#![expect(clippy::unwrap_used, reason = "a test whose archive fails cannot go on")]

mod cache;
mod fetch;
mod search;
mod store;
mod support;
