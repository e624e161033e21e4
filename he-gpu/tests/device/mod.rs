//! The device of this machine, for tests.

use he_agg::Params;
use he_gpu::Gpu;

/// The device with the constants of `params`. Where there is none, the test says so and passes,
/// unless `CONSILIUM_TEST_GPU` is set: then there has to be one.
pub(crate) fn open(params: &'static Params) -> Option<Gpu> {
    match Gpu::open(params) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(std::env::var_os("CONSILIUM_TEST_GPU").is_none(), "{error}");
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: {error}");
            }
            None
        }
    }
}
