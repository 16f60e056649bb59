use super::*;

#[test]
fn arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_names_every_ground_of_a_lift() {
    let mut cli = Cli::command();
    let listing = cli.find_subcommand_mut("listing").unwrap();
    for lift in ["hide", "revoke", "remove", "give-reason"] {
        let help = listing.find_subcommand_mut(lift).unwrap().render_long_help().to_string();
        for ground in xinhub_domain::listing::lift::LiftGround::ALL {
            assert!(help.contains(ground.code()), "{lift} --help lacks {}", ground.code());
        }
    }
}

#[test]
fn codes_are_written_as_grpc_does() {
    let check = |error: Error, told: &str| assert_eq!(code_of(&error), told);
    check(Error::Deadline(std::time::Duration::ZERO), "DEADLINE_EXCEEDED");
    check(Error::Config(String::new()), "FAILED_PRECONDITION");
    check(Error::Connection(String::new()), "UNAVAILABLE");
}
