//! Reconcile
