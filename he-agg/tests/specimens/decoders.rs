//! Every decoder of the crate: a valid object, how it is read, how it is written again.

use super::{Refresh, Round, Serving};
use he_agg::aggregation::{
    AggregationError, BlindedSum, ChunkSum, DecryptionShare, KeyShare, PackedChunk, UpdateChunk,
};
use he_agg::ckks::{Ciphertext, GaloisKey, GatedCiphertext, PublicKey, RelinearizationKey, SeededCiphertext};
use he_agg::multiparty::{
    BlindedRefresh, CeremonyError, GaloisKeyShare, Gate, GateKey, GateShare, Plane, PlaneKey, PublicKeyShare, QueryKey,
    R1, R2, RefreshContext, RefreshShare, ReleaseContext, ReleaseShare, RelinIntermediate, RelinKeyShare,
    ServingKeyShare,
};
use he_agg::{DecodeError, Params, Preset};
use std::sync::LazyLock;

/// Decoders that share most of their code; one fuzz target each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    UpdateChunk,
    KeyShare,
    DecryptionShare,
    BlindedSum,
    Ciphertext,
    CollectiveKeys,
    ReleaseShare,
    ServingShare,
    Refresh,
}

impl Family {
    /// Each with the name of its fuzz target and of its folder in the corpus.
    pub(crate) const TARGETS: [(&str, Family); 9] = [
        ("update_chunk", Family::UpdateChunk),
        ("key_share", Family::KeyShare),
        ("decryption_share", Family::DecryptionShare),
        ("blinded_sum", Family::BlindedSum),
        ("ciphertext", Family::Ciphertext),
        ("collective_keys", Family::CollectiveKeys),
        ("release_share", Family::ReleaseShare),
        ("serving_share", Family::ServingShare),
        ("refresh", Family::Refresh),
    ];
}

/// Why bytes were refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Decode(DecodeError),
    Aggregation(AggregationError),
    Ceremony(CeremonyError),
}

impl Refusal {
    /// The variant, with the name of the field or the offset where it has one.
    pub(crate) fn name(&self) -> String {
        let debug = match self {
            Refusal::Decode(DecodeError::Field { field, .. }) => return format!("Field {field}"),
            Refusal::Decode(DecodeError::Padding { offset }) => return format!("Padding {offset}"),
            Refusal::Decode(error) => format!("{error:?}"),
            Refusal::Aggregation(error) => format!("{error:?}"),
            Refusal::Ceremony(error) => format!("{error:?}"),
        };
        debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::Decode(error)
    }
}

impl From<AggregationError> for Refusal {
    fn from(error: AggregationError) -> Self {
        match error {
            AggregationError::Decode(error) => Refusal::Decode(error),
            error => Refusal::Aggregation(error),
        }
    }
}

impl From<CeremonyError> for Refusal {
    fn from(error: CeremonyError) -> Self {
        match error {
            CeremonyError::Decode(error) => Refusal::Decode(error),
            error => Refusal::Ceremony(error),
        }
    }
}

type Check = Box<dyn Fn(&[u8]) -> Result<(), Refusal> + Send + Sync>;
type Again = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Refusal> + Send + Sync>;

/// One decoder.
pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) params: &'static Params,
    /// An object that it accepts.
    pub(crate) valid: Vec<u8>,
    /// Reads and drops.
    pub(crate) check: Check,
    /// Reads and writes again.
    pub(crate) again: Again,
}

/// Every decoder: those of a training round over a ring of degree 256, whose objects are small,
/// those of INF13 with keys of two limbs, and those of a refresh under TRN14.
pub(crate) fn decoders() -> &'static [Decoder] {
    static ALL: LazyLock<Vec<Decoder>> = LazyLock::new(all);
    &ALL
}

fn all() -> Vec<Decoder> {
    let round: &Round = Box::leak(Box::new(Round::new(Box::leak(Box::new(Params::toy(Preset::Agg13, 8))))));
    let serving: &Serving = Box::leak(Box::new(Serving::new(Preset::Inf13, 2)));
    let refresh: &Refresh = Box::leak(Box::new(Refresh::new()));
    let mut objects: Vec<_> = round.objects().into_iter().chain(serving.objects()).chain(refresh.objects()).collect();
    // The same bytes, added to a sum without being decoded.
    objects.push(("packed-chunk", round.update(2).to_bytes()));
    let decoders: Vec<Decoder> = round_decoders(round, &objects)
        .into_iter()
        .chain(serving_decoders(serving, &objects))
        .chain(refresh_decoders(&refresh.context, &objects))
        .collect();
    assert_eq!(decoders.len(), objects.len(), "every object has its decoder");
    decoders
}

/// Pairs the object of that name with its reader and writer.
fn decoder<T: 'static, E: Into<Refusal>>(
    (name, family, params): (&'static str, Family, &'static Params),
    objects: &[(&str, Vec<u8>)],
    read: impl Fn(&[u8]) -> Result<T, E> + Copy + Send + Sync + 'static,
    write: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static,
) -> Decoder {
    let valid = objects.iter().find(|(object, _)| *object == name).map(|(_, bytes)| bytes.clone());
    Decoder {
        name,
        family,
        params,
        valid: valid.unwrap(),
        check: Box::new(move |bytes| read(bytes).map(drop).map_err(Into::into)),
        again: Box::new(move |bytes| read(bytes).map(|object| write(&object)).map_err(Into::into)),
    }
}

fn round_decoders(round: &'static Round, objects: &[(&str, Vec<u8>)]) -> [Decoder; 5] {
    let (layout, context) = (&round.layout, &round.context);
    let of = |name, family| (name, family, layout.params());
    [
        decoder(
            of("update-chunk", Family::UpdateChunk),
            objects,
            |b| UpdateChunk::from_bytes(b, layout),
            UpdateChunk::to_bytes,
        ),
        decoder(
            of("packed-chunk", Family::UpdateChunk),
            objects,
            |b| {
                let chunk = PackedChunk::from_bytes(b, layout)?;
                let mut sum = ChunkSum::new(layout, *chunk.id());
                sum.absorb_packed(&chunk).map(|()| (sum, chunk.sender()))
            },
            |(sum, sender)| {
                // A sum of one is that chunk, but for the sender.
                let mut bytes = sum.to_bytes();
                bytes[12..14].copy_from_slice(&sender.to_le_bytes());
                bytes
            },
        ),
        decoder(
            of("key-share", Family::KeyShare),
            objects,
            |b| KeyShare::from_bytes(b, layout, &Round::id().epoch),
            |share| share.expose_bytes().to_vec(),
        ),
        decoder(
            of("decryption-share", Family::DecryptionShare),
            objects,
            |b| DecryptionShare::from_bytes(b, layout, context),
            DecryptionShare::to_bytes,
        ),
        decoder(
            of("blinded-sum", Family::BlindedSum),
            objects,
            |b| BlindedSum::from_bytes(b, layout, context),
            BlindedSum::to_bytes,
        ),
    ]
}

fn serving_decoders(serving: &'static Serving, objects: &[(&str, Vec<u8>)]) -> Vec<Decoder> {
    let (preset, crs) = (serving.preset, &serving.crs);
    let context: &ReleaseContext = Box::leak(Box::new(serving.context()));
    let of = |name, family| (name, family, preset.params());
    let keys = Family::CollectiveKeys;
    let ciphertext = |name| {
        let read = move |b: &[u8]| Ciphertext::from_bytes(b, preset);
        decoder(of(name, Family::Ciphertext), objects, read, Ciphertext::to_bytes)
    };
    vec![
        ciphertext("ciphertext-2"),
        ciphertext("ciphertext-3"),
        decoder(
            of("public-key-share", keys),
            objects,
            |b| PublicKeyShare::from_bytes(b, crs),
            PublicKeyShare::to_bytes,
        ),
        decoder(of("public-key", keys), objects, |b| PublicKey::from_bytes(b, crs), |key| key.to_bytes(crs)),
        decoder(
            of("relinearisation-one-share", keys),
            objects,
            |b| RelinKeyShare::<R1>::from_bytes(b, crs),
            RelinKeyShare::to_bytes,
        ),
        decoder(
            of("relinearisation-one-sum", keys),
            objects,
            |b| RelinIntermediate::from_bytes(b, crs),
            RelinIntermediate::to_bytes,
        ),
        decoder(
            of("relinearisation-two-share", keys),
            objects,
            |b| RelinKeyShare::<R2>::from_bytes(b, crs),
            RelinKeyShare::to_bytes,
        ),
        decoder(
            of("relinearisation-key", keys),
            objects,
            |b| RelinearizationKey::from_bytes(b, crs),
            |key| key.to_bytes(crs),
        ),
        decoder(of("galois-share", keys), objects, |b| GaloisKeyShare::from_bytes(b, crs), GaloisKeyShare::to_bytes),
        decoder(of("galois-key", keys), objects, |b| GaloisKey::from_bytes(b, crs), |key| key.to_bytes(crs)),
        decoder(
            of("release-share", Family::ReleaseShare),
            objects,
            |b| ReleaseShare::from_bytes(b, context),
            |share| share.to_bytes().to_vec(),
        ),
        decoder(
            of("serving-key-share", Family::ServingShare),
            objects,
            |b| ServingKeyShare::from_bytes(b, crs),
            |share| share.to_bytes().to_vec(),
        ),
        decoder(
            of("seeded-ciphertext", Family::Ciphertext),
            objects,
            move |b| SeededCiphertext::from_bytes(b, preset),
            SeededCiphertext::to_bytes,
        ),
        decoder(of("query-key", keys), objects, |b| QueryKey::from_bytes(b, crs), QueryKey::to_bytes),
        decoder(of("gate-share", keys), objects, |b| GateShare::from_bytes(b, crs), GateShare::to_bytes),
        decoder(of("gate", keys), objects, |b| Gate::from_bytes(b, crs), Gate::to_bytes),
        decoder(of("gate-key", keys), objects, |b| GateKey::from_bytes(b, crs), GateKey::to_bytes),
        decoder(
            of("gated-ciphertext", Family::Ciphertext),
            objects,
            move |b| GatedCiphertext::from_bytes(b, preset),
            GatedCiphertext::to_bytes,
        ),
        decoder(of("plane-key", keys), objects, |b| PlaneKey::from_bytes(b, crs), PlaneKey::to_bytes),
        decoder(of("plane", keys), objects, |b| Plane::from_bytes(b, crs), Plane::to_bytes),
    ]
}

fn refresh_decoders(context: &'static RefreshContext, objects: &[(&str, Vec<u8>)]) -> [Decoder; 2] {
    let of = |name| (name, Family::Refresh, Preset::Trn14.params());
    [
        decoder(
            of("refresh-share"),
            objects,
            |b| RefreshShare::from_bytes(b, context),
            |share| share.to_bytes().to_vec(),
        ),
        decoder(of("blinded-refresh"), objects, |b| BlindedRefresh::from_bytes(b, context), BlindedRefresh::to_bytes),
    ]
}
