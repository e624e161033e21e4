//! Exit codes of the argument parser; errors bring their own.

pub use remedy::Exit;

/// The argument parser has its own code 2, which here means something else.
pub fn of_parser(error: &clap::Error) -> Exit {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::BadInput,
    }
}

#[cfg(test)]
mod tests {
    use experiment::Experiment;
    use remedy::Explained;
    use simulation::dropout::DropOut;

    use super::*;
    use crate::error::Error;

    #[test]
    fn every_kind_of_error_has_its_documented_code() {
        let bad = Experiment::parse("x.toml", "[experiment]\n", &[]).expect_err("incomplete");
        assert_eq!(Error::Experiment(bad).exit(), Exit::BadInput);
        let drop = "x".parse::<DropOut>().expect_err("no drop-out");
        assert_eq!(Error::DropOut(drop).exit(), Exit::BadInput);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::Output(full).exit(), Exit::StorageFull);
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Error::Output(broken).exit(), Exit::Failed);
    }
}
