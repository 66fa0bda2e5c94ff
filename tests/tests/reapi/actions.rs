//! Actions, and what becomes of them.
