//! Many vectors as one ciphertext, and back.

use he_agg::multiparty::KeyPlan;
use he_train::encrypted::{HeadError, HeadLayout, PackTree};

use crate::holder::{Holder, PRESET};

const SCALE: f64 = (1u64 << 30) as f64;

#[test]
fn packages_give_back_every_vector_with_its_rows_added_up() {
    let slots = PRESET.params().slots();
    // The last head has more vectors than rows.
    for (classes, dimension, packages) in [(1, 3, 1), (2, 3, 1), (16, 17, 1), (16, 513, 2)] {
        let layout = HeadLayout::new(slots, dimension, classes).unwrap();
        let tree = PackTree::new(layout);
        assert_eq!(tree.packages(), packages);
        let mut plan = KeyPlan::default();
        plan.rotations.extend(tree.pack_steps().map(|steps| (steps, 3)));
        plan.rotations.extend(tree.unpack_steps().map(|steps| (steps, 4)));
        let (mut holder, keys) = Holder::new(&plan);
        let value = |vector: usize, slot: usize| ((vector * 37 + slot * 101 + slot / 7) % 41) as f64 / 20.0 - 1.0;
        let vectors: Vec<Vec<f64>> =
            (0..layout.vectors()).map(|vector| (0..slots).map(|slot| value(vector, slot)).collect()).collect();
        let encrypted = vectors.iter().map(|vector| holder.encrypt(vector, SCALE, 3)).collect();
        let packed = tree.pack(&holder.evaluator, &keys, encrypted).unwrap();
        assert_eq!(packed.len(), packages);
        let fresh = holder.refresh(&packed, 4);
        let found = holder.unpacked(&keys, tree, &fresh);
        assert_eq!(found.len(), vectors.len());
        for (number, (found, vector)) in found.iter().zip(&vectors).enumerate() {
            let width = layout.width();
            for (slot, value) in found.iter().enumerate().step_by(97) {
                let sum: f64 = vector.iter().skip(slot % width).step_by(width).sum();
                let error = (value / tree.capacity() as f64 - sum).abs();
                assert!(error < 0.05, "{classes} classes, vector {number}, slot {slot}: {error}");
            }
        }
    }
}

#[test]
fn another_number_of_vectors_or_packages_is_refused() {
    let tree = PackTree::new(HeadLayout::new(PRESET.params().slots(), 3, 2).unwrap());
    let (mut holder, keys) = Holder::new(&KeyPlan::default());
    let one = holder.encrypt(&[1.0], SCALE, 3);
    let refused = tree.pack(&holder.evaluator, &keys, vec![one.clone(); 3]).err();
    assert_eq!(refused, Some(HeadError::Count { what: "vectors", found: 3, expected: 4 }));
    let refused = tree.unpack(&holder.evaluator, &keys, &[one.clone(), one]).err();
    assert_eq!(refused, Some(HeadError::Count { what: "packages", found: 2, expected: 1 }));
}
