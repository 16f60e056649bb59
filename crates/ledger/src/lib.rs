//! The one deep module that keeps the hub's state.

pub mod crypto;
pub mod keys;
pub mod seglog;
pub mod slots;
pub mod storage;
