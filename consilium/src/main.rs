//! The `consilium` binary.

use consilium::{cli, driver_noise};

fn main() -> std::process::ExitCode {
    if let Some((variable, value)) = driver_noise::silencing(|name| std::env::var_os(name)) {
        #[expect(unsafe_code, reason = "drivers read the process's own environment and nothing else")]
        // SAFETY: these are the first instructions of the program, so no other thread reads the environment.
        unsafe {
            std::env::set_var(variable, value);
        }
    }
    cli::main(std::env::args_os())
}
