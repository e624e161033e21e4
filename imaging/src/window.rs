//! From values of the modality to grey on a screen: windows and the functions that they name.

/// How a window maps values (PS3.3 section C.11.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Function {
    /// C.11.2.1.2.1: between whole values, so that a window of width 2 has two values in it. What `LINEAR` names, and
    /// what no name means.
    #[default]
    Linear = 1,
    /// C.11.2.1.3.2: from `centre - width / 2` to `centre + width / 2`.
    LinearExact = 2,
    /// C.11.2.1.3.1: a sigmoid that has the window's slope at its centre.
    Sigmoid = 3,
}

impl Function {
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        [Self::Linear, Self::LinearExact, Self::Sigmoid].into_iter().find(|known| *known as u8 == number)
    }
}

/// Which values are told apart on a screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    centre: f64,
    width: f64,
    function: Function,
}

/// A window that a file proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWindow {
    /// The window.
    pub window: Window,
    /// What it is for, such as `BRAIN`; empty where the file does not say. Printable ASCII, 64 characters at most.
    pub explanation: String,
}

impl Window {
    /// A window, in units of the modality. `None` where numbers are not finite or the width is one that its function
    /// does not allow: below 1 for [`Function::Linear`], 0 or below for the others.
    #[must_use]
    pub fn new(centre: f64, width: f64, function: Function) -> Option<Self> {
        let wide_enough = match function {
            Function::Linear => width >= 1.0,
            Function::LinearExact | Function::Sigmoid => width > 0.0,
        };
        (wide_enough && centre.is_finite() && width.is_finite()).then_some(Self { centre, width, function })
    }

    /// Its centre.
    #[must_use]
    pub fn centre(&self) -> f64 {
        self.centre
    }

    /// Its width.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Its function.
    #[must_use]
    pub fn function(&self) -> Function {
        self.function
    }

    /// Grey between 0 and 255 for a value, by the formulas of PS3.3 section C.11.2.1 with `ymin` 0 and `ymax` 255, and
    /// rounded to the nearest.
    #[must_use]
    pub fn grey(&self, value: f64) -> u8 {
        let Self { centre, width, function } = *self;
        let share = match function {
            Function::Linear => {
                let (from_centre, reach) = (value - (centre - 0.5), (width - 1.0) / 2.0);
                // The first two cases of the formula stand for themselves: a width of 1 divides by nothing.
                if from_centre <= -reach {
                    0.0
                } else if from_centre > reach {
                    1.0
                } else {
                    from_centre / (width - 1.0) + 0.5
                }
            }
            Function::LinearExact => ((value - centre) / width + 0.5).clamp(0.0, 1.0),
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        };
        (share * 255.0).round() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greys(centre: f64, width: f64, function: Function, values: &[f64]) -> Vec<u8> {
        let window = Window::new(centre, width, function).unwrap();
        values.iter().map(|value| window.grey(*value)).collect()
    }

    #[test]
    fn linear_windows_end_where_the_standard_says() {
        // The examples of C.11.2.1.2.1: 2048 and 4096 show 0 to 4095; 2048 and 1 show black up to 2047; 0 and 100 show
        // -50 to 49.
        assert_eq!(greys(2048.0, 4096.0, Function::Linear, &[-1.0, 0.0, 4095.0, 4096.0]), [0, 0, 255, 255]);
        assert_eq!(greys(2048.0, 1.0, Function::Linear, &[2047.0, 2048.0]), [0, 255]);
        assert_eq!(greys(0.0, 100.0, Function::Linear, &[-50.0, -49.0, 48.0, 49.0]), [0, 3, 252, 255]);
        // (10 + 0.5) / 255 + 0.5 of 255 is 138; (0 + 0.5) is 128.
        assert_eq!(greys(0.0, 256.0, Function::Linear, &[10.0, 0.0, -128.0, 127.0]), [138, 128, 0, 255]);
    }

    #[test]
    fn exact_windows_reach_half_a_width_to_each_side() {
        assert_eq!(greys(0.0, 100.0, Function::LinearExact, &[-51.0, -50.0, 0.0, 49.0, 50.0]), [0, 0, 128, 252, 255]);
        assert_eq!(greys(0.5, 0.5, Function::LinearExact, &[0.25, 0.5, 0.75]), [0, 128, 255]);
    }

    #[test]
    fn sigmoids_are_symmetric_about_the_centre() {
        // 255 / (1 + e^2) is 30.4, 255 / (1 + e^-2) is 224.6.
        assert_eq!(greys(100.0, 50.0, Function::Sigmoid, &[75.0, 100.0, 125.0, 1e9]), [30, 128, 225, 255]);
    }

    #[test]
    fn windows_without_width_are_none() {
        assert!(Window::new(0.0, 0.5, Function::Linear).is_none());
        assert!(Window::new(0.0, 0.0, Function::LinearExact).is_none());
        assert!(Window::new(0.0, f64::INFINITY, Function::Sigmoid).is_none());
        assert!(Window::new(f64::NAN, 1.0, Function::Sigmoid).is_none());
    }
}
