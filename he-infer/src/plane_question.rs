//! A question made of planes, as it travels: for each ciphertext four planes and what turns them.

use he_agg::multiparty::{Crs, PLANES_PER_INPUT, Plane, PlaneDigests, PlaneDraw, PlaneSeed};

use crate::model::{ModelError, Place};
use crate::program::Program;

/// Bodies of one ciphertext of a question: its planes, then their turns.
const BODIES: usize = PLANES_PER_INPUT + 1;

/// The planes that one asker's questions are made of, as the ceremony left them closed. Lifting them takes its key.
#[derive(Clone, Copy)]
pub struct ClosedPlanes<'a> {
    /// Which of each group stayed closed.
    pub draw: &'a PlaneDraw,
    /// What the asker was bound to.
    pub digests: &'a PlaneDigests,
}

/// A question that was read, of the planes that it was given.
pub struct PlaneQuestion {
    /// Of each ciphertext.
    pub planes: Vec<[Plane; PLANES_PER_INPUT]>,
    /// Of each ciphertext.
    pub turns: Vec<Vec<u8>>,
}

impl Program {
    /// The numbers of the planes of the asker's question `number`, from 0, for each ciphertext.
    ///
    /// # Errors
    /// [`ModelError::NoPlanesLeft`] for more questions than the ceremony made planes for.
    pub fn planes_of(&self, number: u64, draw: &PlaneDraw) -> Result<Vec<[u32; PLANES_PER_INPUT]>, ModelError> {
        let most = u64::from(draw.groups()) / self.plane_groups(1).max(1);
        let none = || ModelError::NoPlanesLeft { number, most };
        let first = Some(number).filter(|number| *number < most).ok_or_else(none)?;
        let first = u32::try_from(self.plane_groups(first)).map_err(|_| none())?;
        let groups = PLANES_PER_INPUT as u32;
        let of_input = |input: u32| {
            let mut planes = [0; PLANES_PER_INPUT];
            for (plane, digit) in planes.iter_mut().zip(0..) {
                *plane = draw.closed(first + groups * input + digit).ok_or_else(none)?;
            }
            Ok(planes)
        };
        (0..self.inputs() as u32).map(of_input).collect()
    }

    /// The seeds of these planes, out of the asker's pool.
    #[must_use]
    pub fn plane_seeds(
        &self,
        pool: &[u8; 32],
        planes: &[[u32; PLANES_PER_INPUT]],
    ) -> Vec<[PlaneSeed; PLANES_PER_INPUT]> {
        let preset = self.params().preset;
        planes.iter().map(|planes| planes.map(|number| PlaneSeed::of_pool(pool, preset, number))).collect()
    }

    /// Bodies of a question.
    #[must_use]
    pub fn question_bodies(&self) -> usize {
        if self.planes().is_some() { BODIES * self.inputs() } else { self.inputs() }
    }
}

impl PlaneQuestion {
    /// The bodies, in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<Vec<u8>> {
        let input = |(planes, turns): (&[Plane; PLANES_PER_INPUT], &Vec<u8>)| {
            planes.iter().map(Plane::to_bytes).chain([turns.clone()]).collect::<Vec<_>>()
        };
        self.planes.iter().zip(&self.turns).flat_map(input).collect()
    }

    /// Reads the bodies of the asker's question `number`, from 0: of exactly the planes that stayed closed for it.
    ///
    /// # Errors
    /// [`ModelError::NoPlanesLeft`], another number of bodies, what is no plane of this epoch and asker, or
    /// [`ModelError::OtherPlane`].
    pub fn from_bytes(
        program: &Program,
        crs: &Crs,
        closed: ClosedPlanes<'_>,
        number: u64,
        bodies: &[impl AsRef<[u8]>],
    ) -> Result<Self, ModelError> {
        let numbers = program.planes_of(number, closed.draw)?;
        let expected = program.question_bodies();
        if bodies.len() != expected {
            return Err(ModelError::Bodies { expected, found: bodies.len() });
        }
        let mut question = Self { planes: Vec::new(), turns: Vec::new() };
        for (numbers, bodies) in numbers.into_iter().zip(bodies.chunks_exact(BODIES)) {
            let (turns, planes) = bodies.split_last().ok_or(ModelError::Bodies { expected, found: 0 })?;
            let read = |body: &[u8]| {
                Plane::from_bytes(body, crs).map_err(|source| ModelError::Gate { place: Place::Query, source })
            };
            let planes = planes.iter().map(|body| read(body.as_ref())).collect::<Result<Vec<_>, _>>()?;
            for (number, plane) in numbers.into_iter().zip(&planes) {
                if !closed.digests.is_plane(number, plane) {
                    return Err(ModelError::OtherPlane { number });
                }
            }
            let found = planes.len();
            let planes = planes.try_into().map_err(|_| ModelError::Bodies { expected, found })?;
            question.planes.push(planes);
            question.turns.push(turns.as_ref().to_vec());
        }
        Ok(question)
    }

    /// As [`EncryptedExecutor::lift_planes`](crate::EncryptedExecutor::lift_planes) takes them.
    #[must_use]
    pub fn planes(&self) -> Vec<[&Plane; PLANES_PER_INPUT]> {
        self.planes.iter().map(|planes| planes.each_ref()).collect()
    }

    /// The same.
    #[must_use]
    pub fn turns(&self) -> Vec<&[u8]> {
        self.turns.iter().map(Vec::as_slice).collect()
    }
}
