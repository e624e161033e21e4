//! How the taps of a convolution read a grid that is stored in phases and moved copies.

/// The window of a convolution in cells of the grid it reads; `inner` is the layer's own window,
/// on the output of the pool (size, stride) if there is one, else the same.
pub(crate) struct Window {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) inner: usize,
    pub(crate) inner_stride: usize,
    pub(crate) inner_padding: usize,
    pub(crate) pool: (usize, usize),
}

/// How the taps of a convolution along one axis read a phase grid.
pub(crate) struct Taps {
    pub(crate) padding: i64,
    phases: i64,
    /// Largest offset of a tap, in cells of the phase grid.
    cells_max: i64,
    pub(crate) kernel: usize,
}

/// One tap along one axis.
pub(crate) struct Tap {
    pub(crate) phase: usize,
    pub(crate) copy: usize,
    /// Shift in cells.
    pub(crate) cells: i64,
}

impl Taps {
    pub(crate) fn new(window: &Window, phases: usize) -> Self {
        let (padding, phases) = (window.padding as i64, phases as i64);
        let last = window.kernel as i64 - 1 - padding;
        Self { padding, phases, cells_max: last.div_euclid(phases), kernel: window.kernel }
    }

    /// Copy z is moved by z cells, so a tap `z` cells behind the last one reads it by the same shift.
    pub(crate) fn read(&self, tap: usize, copies: usize) -> Tap {
        let offset = tap as i64 - self.padding;
        let cells = offset.div_euclid(self.phases);
        let behind = usize::try_from(self.cells_max - cells).unwrap_or(0);
        let copy = behind % copies;
        Tap { phase: usize::try_from(offset.rem_euclid(self.phases)).unwrap_or(0), copy, cells: cells + copy as i64 }
    }

    pub(crate) fn shifts(&self, copies: usize) -> usize {
        let mut cells: Vec<i64> = (0..self.kernel).map(|tap| self.read(tap, copies).cells).collect();
        cells.sort_unstable();
        cells.dedup();
        cells.len()
    }
}
