use super::*;

#[test]
fn arguments_are_consistent() {
    Cli::command().debug_assert();
}
