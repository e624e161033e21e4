//! What flows between the layers of a network: pixels, feature maps, rows.

use burn::tensor::{Device, Tensor, TensorData};

use super::TrainError;

/// An activation between layers.
pub(super) enum Value {
    /// Images as they came, `(n, c, h, w)`: they need no gradient.
    Pixels(Vec<f32>, [usize; 4], Device),
    /// What the first convolution yields as one product: channels by (image, row, column), with these three counts.
    Planes(Tensor<2>, [usize; 3]),
    Map(Tensor<4>),
    Row(Tensor<2>),
}

impl Value {
    /// x (x + beta), one beta per channel or unit.
    pub(super) fn quadratic(self, beta: Tensor<1>) -> Value {
        match self {
            Value::Pixels(..) => Value::Row(self.into_row()).quadratic(beta),
            Value::Planes(x, counts) => {
                let channels = beta.dims()[0];
                Value::Planes(x.clone() * (x + beta.reshape([channels, 1])), counts)
            }
            Value::Map(x) => {
                let channels = beta.dims()[0];
                let beta = beta.reshape([1, channels, 1, 1]);
                Value::Map(x.clone() * (x + beta))
            }
            Value::Row(x) => Value::Row(x.clone() * (x + beta.unsqueeze::<2>())),
        }
    }

    /// Channels, rows and columns flattened in this order.
    pub(super) fn into_row(self) -> Tensor<2> {
        match self {
            Value::Pixels(images, shape @ [n, c, h, w], device) => {
                Tensor::<4>::from_data(TensorData::new(images, shape), &device).reshape([n, c * h * w])
            }
            Value::Planes(x, [n, h, w]) => {
                let channels = x.dims()[0];
                x.reshape([channels, n, h * w]).swap_dims(0, 1).reshape([n, channels * h * w])
            }
            Value::Map(x) => x.flatten(1, 3),
            Value::Row(x) => x,
        }
    }

    /// Planes as the map that later layers read.
    pub(super) fn into_map(self) -> Value {
        match self {
            Value::Planes(x, [n, h, w]) => {
                let channels = x.dims()[0];
                Value::Map(x.reshape([channels, n, h, w]).swap_dims(0, 1))
            }
            other => other,
        }
    }

    /// `mean(relu(|x| - limit)^2)`.
    pub(super) fn excess(&self, limit: f32) -> Tensor<1> {
        fn of<const D: usize>(x: &Tensor<D>, limit: f32) -> Tensor<1> {
            let excess = x.clone() - x.clone().clamp(-limit, limit);
            (excess.clone() * excess).mean()
        }
        match self {
            Value::Pixels(_, _, device) => Tensor::zeros([1], device),
            Value::Map(x) => of(x, limit),
            Value::Planes(x, _) | Value::Row(x) => of(x, limit),
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        let data = match self {
            Value::Pixels(images, ..) => Ok(images.clone()),
            Value::Map(x) => values(x.clone(), "activations"),
            Value::Planes(x, _) | Value::Row(x) => values(x.clone(), "activations"),
        };
        data.is_ok_and(|v| v.iter().all(|v| v.is_finite()))
    }
}

/// The numbers of a tensor; `what` names it where the library hands out none.
pub(super) fn values<const D: usize>(tensor: Tensor<D>, what: &'static str) -> Result<Vec<f32>, TrainError> {
    tensor.try_into_data().ok().and_then(|data| data.try_into_vec::<f32>().ok()).ok_or(TrainError::Backend { what })
}
