//! A head that is trained on encrypted features.
//!
//! A head is one layer of weights on features that a hospital computes itself. Its training is made of additions,
//! products and one polynomial, so that it can be done on ciphertexts: [`CosineFilters`] and [`Legendre`] give
//! features, [`Moments`] and [`Whitening`] make them uncorrelated, over all hospitals by [`MomentLanes`] without one
//! seeing another's, [`OddPolynomial`] stands for the sigmoid, [`Recipe`] says the steps, and [`shadow`] takes them on
//! plain numbers, [`encrypted`] on ciphertexts. Both are compared with [`exact_softmax`] and [`exact_least_squares`].

mod averaging;
mod cosine;
pub mod encrypted;
mod exact;
mod legendre;
mod moments;
mod polynomial;
mod pooled;
mod recipe;
mod row_group;
mod shadow;

pub use averaging::averaged_softmax;
pub use cosine::CosineFilters;
pub use exact::{exact_least_squares, exact_softmax};
pub use legendre::Legendre;
pub use moments::{Moments, Whitening};
pub use polynomial::OddPolynomial;
pub use pooled::{MomentLanes, PooledError};
pub use recipe::{HeadLoss, Recipe, RecipeError};
pub use row_group::{RowGroup, row_groups, spread_groups};
pub use shadow::{Shadow, ShadowError, ShadowStep, shadow};
