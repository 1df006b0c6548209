//! What somebody does who wants actions that are not theirs, or the gateway gone. Every
//! attack is told the truth or is cut off, reaches no Graph, costs little memory, and
//! keeps no good caller waiting.
//!
//! Beside these: `connection` has silent and deaf peers, `tls_listener` handshakes that do
//! not end, `overload` too many calls, and the unit tests of `callers` each forged token
//! against keys of every kind.

mod certificates;
mod forged;
mod fort;
mod forwarded;
mod idle;
mod kids;
mod resets;
mod slow;
mod smuggling;
mod strangers;
mod tokens;
mod untaken;
mod weight;

use fort::{EXTRA, Fort};
