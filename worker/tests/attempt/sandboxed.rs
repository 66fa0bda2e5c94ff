//! With the real sandbox, where this machine has one.
