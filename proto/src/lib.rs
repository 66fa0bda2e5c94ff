//! Wire types only. [`reapi`] holds the messages of the Remote Execution API v2 that Cullet stores and sends;
//! nothing here has behaviour, and nothing past a boundary of the program takes these types.

pub mod reapi;
