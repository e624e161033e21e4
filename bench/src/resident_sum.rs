//! The coordinator's sum of updates that lie where it is computed, and the same with the way there and back.

use std::time::Instant;

use he_agg::backend::Basis;
use he_agg::{Eval, Params, Poly};

use super::{
    device::{Job, NO_TRAFFIC, Selected, Watched, observe, since},
    engine::Engine,
    error::BenchError,
    progress::Progress,
    ring::{WORD, uniform},
    row::Row,
    timing::{Repetitions, Timing},
};

/// Hospitals whose updates differ; further hospitals send copies of these, which lie beside them all the same.
const DISTINCT: usize = 8;

/// Fewest figures of the sum with transfers.
const TRANSFERS_MIN: usize = 3;

/// What is added.
#[derive(Clone, Copy)]
pub struct Updates<'a> {
    /// The parameter set.
    pub params: &'static Params,
    /// How many updates.
    pub hospitals: u16,
    /// Polynomials of one update.
    pub polys: usize,
    /// How often.
    pub repetitions: Repetitions,
    /// Threads, for what the processor does.
    pub engine: &'a Engine,
}

impl Updates<'_> {
    /// Bytes of one polynomial in memory.
    pub fn poly_bytes(params: &Params) -> usize {
        WORD * params.n * params.q.len()
    }

    /// Bytes of one update in memory.
    pub fn bytes(&self) -> usize {
        self.polys * Self::poly_bytes(self.params)
    }
}

/// What was seen.
pub struct Summed {
    /// For programs.
    pub rows: Vec<Row>,
    /// Whether all sums are those of plain additions.
    pub exact: bool,
    /// Whether the updates stayed where they were while the resident sum was taken.
    pub resident: bool,
}

/// Measures both sums.
///
/// # Errors
/// What the device says; no room for the updates, for instance.
pub fn measure(selected: &Selected, updates: Updates<'_>, progress: &mut dyn Progress) -> Result<Summed, BenchError> {
    updates.engine.run(|| selected.run(updates.params, Sum { updates, selected, progress }))
}

struct Sum<'a, 'p> {
    updates: Updates<'a>,
    selected: &'a Selected,
    progress: &'p mut dyn Progress,
}

impl Job for Sum<'_, '_> {
    type Output = Summed;

    fn on<B: Watched>(self, backend: &B) -> Result<Summed, BenchError> {
        let Self { updates, selected, progress } = self;
        let Updates { params, hospitals, polys, repetitions, engine } = updates;
        let (limbs, hospitals) = (params.q.len(), usize::from(hospitals));
        let basis = Basis::ordinary(0..limbs);
        progress.step("making updates");
        let poly = |index| uniform(params, index as u32, limbs);
        let host: Vec<Vec<Poly<Eval>>> = (0..hospitals.min(DISTINCT))
            .map(|hospital| (0..polys).map(|p| poly(hospital * polys + p)).collect())
            .collect();
        let of = |hospital: usize| host[hospital % host.len()].iter().collect::<Vec<_>>();
        let expected = expected(&host, hospitals, params);

        let row = |op: &str, bytes: usize| Row {
            hospitals: Some(updates.hospitals),
            ..Row::new(&format!("aggregate.{op}"), engine).shape(params, limbs, false).bytes(bytes)
        };
        progress.step("uploading updates");
        let upload = || (0..hospitals).map(|hospital| backend.upload(&of(hospital))).collect::<Result<Vec<_>, _>>();
        let resident = upload()?;
        progress.step("adding");
        let add = |resident: &[Vec<B::Poly<Eval>>]| {
            let lists: Vec<Vec<_>> =
                (0..polys).map(|poly| resident.iter().map(|update| &update[poly]).collect()).collect();
            backend.sum(&basis, &lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let observed = observe(backend, repetitions, || Ok(()), |()| Ok(add(&resident)?))?;
        let sum = add(&resident)?;
        let mut exact = backend.download(&sum.iter().collect::<Vec<_>>())? == expected;
        drop((resident, sum));
        let bytes = (hospitals + 1) * updates.bytes();
        let mut rows = vec![selected.tag(row("sum_resident", bytes).timed(observed.timing), Some(observed.traffic))];
        let resident = observed.is_resident(polys, Updates::poly_bytes(params));

        let (mut figures, begun) = (Vec::new(), Instant::now());
        let mut traffic = NO_TRAFFIC;
        while figures.len() < TRANSFERS_MIN || !repetitions.enough(figures.len(), begun.elapsed()) {
            progress.step(&format!("adding with transfers, {} done", figures.len()));
            let (before, started) = (backend.traffic(), Instant::now());
            let sum = add(&upload()?)?;
            let sum = backend.download(&sum.iter().collect::<Vec<_>>())?;
            figures.push(started.elapsed().as_secs_f64());
            traffic = since(before, backend.traffic());
            exact &= sum == expected;
        }
        let timing = Timing::of_seconds(&figures);
        rows.push(selected.tag(row("sum_with_transfers", bytes).timed(timing), Some(traffic)));
        rows.push(selected.tag(Row { exact: Some(exact), ..row("exact", 0) }, None));
        Ok(Summed { rows, exact, resident })
    }
}

/// The sums by plain additions, one after the other.
fn expected(host: &[Vec<Poly<Eval>>], hospitals: usize, params: &Params) -> Vec<Poly<Eval>> {
    let Some(first) = host.first() else { return Vec::new() };
    let mut sum = first.clone();
    for hospital in 1..hospitals {
        let update = &host[hospital % host.len()];
        sum.iter_mut().zip(update).for_each(|(sum, poly)| sum.add_assign(poly, &params.q));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::EngineFlags, progress::Unseen};
    use he_agg::Preset;

    #[test]
    fn sums_of_more_hospitals_than_differ_are_exact() {
        let engine = Engine::start(&EngineFlags { threads: 1, isa: "auto".to_owned() }).expect("threads");
        let params = Preset::Agg13.params();
        let repetitions = Repetitions::Count(1);
        let updates = Updates { params, hospitals: 11, polys: 2, repetitions, engine: &engine };
        let mut progress = Unseen;
        let Summed { rows, exact, resident } = measure(&Selected::Cpu, updates, &mut progress).expect("it adds");
        assert!(exact && resident);
        let ops: Vec<&str> = rows.iter().map(|row| row.op.as_str()).collect();
        assert_eq!(ops, ["aggregate.sum_resident", "aggregate.sum_with_transfers", "aggregate.exact"]);
        assert_eq!(rows[0].bytes, 12 * 2 * 7 * 8192 * 4);
        assert_eq!(rows[2].exact, Some(true));
    }
}
