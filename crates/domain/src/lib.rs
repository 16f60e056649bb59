//! placeholder
pub mod identity;
pub mod name;
pub mod case_number;
pub mod text;
pub mod listing;
pub mod time;
mod closed;
pub mod decision;
pub mod fault;
pub mod measure;
pub mod policy;
pub mod import;
