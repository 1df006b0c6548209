//! Tokens on behalf of callers.
