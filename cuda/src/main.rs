//! The `consilium` binary with CUDA.

fn main() -> std::process::ExitCode {
    consilium::cli::main(std::env::args_os())
}
