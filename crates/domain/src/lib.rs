//! placeholder
pub mod identity;
pub mod name;
pub mod case_number;
pub mod text;
