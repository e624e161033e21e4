//! Every bound of the protocol in one place, each with its reason. What a peer can make us hold is bounded here.

/// Parties in a roster. Shamir points and mask keys grow with the square; 64 also fits a `PartySet` in one word.
pub const PARTIES_MAX: usize = 64;
/// Key epochs that one consortium may propose.
pub const EPOCHS_MAX: usize = 256;
/// Primes of what hospitals show of their dealings: 36 at the largest presets. What 64 hospitals show of 64 dealers is
/// below 900 KiB in one entry.
pub const DEALING_PRIMES_MAX: usize = 48;
/// One control frame, bytes. The largest message, a manifest of 64 signed heads, is below 16 KiB;
/// a `SumReady` of 4 096 digests and 64 heads is below 144 KiB; a roster of 64 members is about 90 KiB.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bodies (ciphertexts) in one update, share or sum: 4 096 AGG13 chunks hold more than 10^8 values.
pub const CHUNKS_MAX: usize = 4096;
/// Chunks of a round's sum up to which a hospital adds every one up itself before it votes.
pub const CHUNKS_ADDED_MAX: usize = 8;
/// Chunks of a longer sum that it draws and adds: a forgery of one model needs many, and every voter draws its own.
pub const CHUNKS_DRAWN: usize = 6;
/// Hospitals up to which every one adds the serving keys and the published model up whole; of more, each draws parts.
pub const HOSPITALS_ADD_ALL_MAX: usize = 5;
/// Logarithm to base 2 of the chance, at most, that one altered part of such a sum meets no honest hospital's draw.
pub const PART_ESCAPES_LOG2: i32 = -7;
/// Masks that a hospital opens to prove that its relinearisation shares are made of short secrets.
pub const RELIN_ANSWERS: u32 = 41;
/// Bytes of one hospital's openings, which its checkers hold at a time: at the largest preset, with four digits, they
/// are below 85 MB.
pub const RELIN_ANSWERS_BYTES_MAX: u64 = 128 << 20;
/// Planes of which one stays closed: a bad one among them is that one with one in eight at most.
pub const PLANES_GROUP: u32 = 8;
/// Planes that one hospital encrypts for its questions: their digests are 2 MiB, the seeds of those that it opens less.
pub const PLANES_MAX: u32 = 1 << 16;
/// Bodies of what a hospital is bound to of its planes: their key, a coin, the planes' digests.
pub const PLANES_BODIES: u32 = 3;
/// Bytes of them, which everybody holds at a time: a polynomial of the largest preset is below 4 MB, and `PLANES_MAX`
/// digests are 2 MiB.
pub const PLANES_BYTES_MAX: u64 = 8 << 20;
/// Bytes of the seeds of the planes that a hospital opens: fewer than of all.
pub const PLANE_SEEDS_BYTES_MAX: u64 = 32 * PLANES_MAX as u64;
/// Hospitals up to which every one checks all others' openings; of more, each draws.
pub const HOSPITALS_PROVE_TO_ALL_MAX: usize = 16;
/// Logarithm to base 2 of the chance, at most, that one hospital's openings meet no honest hospital's draw.
pub const PROOF_ESCAPES_LOG2: i32 = -40;
/// Bytes of one body. A Galois key of INF15-90 is the largest: about 8 MiB.
pub const BODY_BYTES_MAX: u64 = 64 << 20;
/// Bodies of one hospital that the coordinator holds at a time: 16 updates of the largest size.
pub const BODIES_HELD_MAX: u64 = 16 * CHUNKS_MAX as u64;
/// Bytes of them: serving keys and a model contribution are below 1 GiB, so that this bounds a hospital that sends
/// without end.
pub const BODIES_HELD_BYTES_MAX: u64 = 16 << 30;
/// UTF-8 bytes of a member's name: it is printed in tables.
pub const NAME_BYTES_MAX: usize = 64;
/// UTF-8 bytes of the reason in a `Stop`.
pub const REASON_BYTES_MAX: usize = 256;
/// Attempts of one round. Every attempt is one more encryption of the same values and one more charge of tau.
pub const ATTEMPTS_MAX: u32 = 8;
/// Attempts to publish a model. Each loses a member as a rule; hospitals that come and go need more.
pub const PUBLISH_ATTEMPTS_MAX: u32 = 64;
/// Spare attempts encrypted ahead: each doubles the upload again.
pub const ATTEMPTS_AHEAD_MAX: u32 = 2;
/// Steps of a training on ciphertexts. What parties say of them is bounded by it: the longest of the configurations
/// that come with the project has 45.
pub const TRAINING_STEPS_MAX: u32 = 1 << 10;
/// Attempts at one refresh of a training on ciphertexts.
pub const REFRESH_ATTEMPTS_MAX: u32 = 8;
/// Bytes of one share, mask, sum or opening of a refresh, or of one body of features: a ciphertext's half at eleven
/// primes of the largest preset is below 1.5 MB.
pub const REFRESH_BODY_BYTES_MAX: u64 = 2 << 20;
/// Queries waiting per model; the next one is told `RetryAfter`.
pub const QUERIES_QUEUED_MAX: usize = 64;
/// Of one hospital: it cannot fill the queue for the others.
pub const QUERIES_QUEUED_PER_ASKER_MAX: usize = 16;
/// Bytes of one box of an answer: all slots of the largest preset over its base primes, and the box around them.
pub const ANSWER_BYTES_MAX: u64 = 512 << 10;
/// Queries whose answers' shares are awaited at once: each decryptor keeps its result of them in memory.
pub const QUERIES_SWITCHING_MAX: usize = 8;
/// Bytes of one query: at the largest preset an image of three channels is below 16 MiB, and one that is made of planes
/// takes 19 MiB for each of its ciphertexts.
pub const QUERY_BYTES_MAX: u64 = 256 << 20;
/// Queries that a hospital evaluates for others at a time: more than the coordinator has under way. Whatever it opens
/// beyond that is refused.
pub const QUERIES_EVALUATED_MAX: usize = 4 * QUERIES_SWITCHING_MAX;
/// Answered queries whose ciphertexts the coordinator keeps for audits: 2 GB of images of three channels, 5 GB of small
/// ones that are made of planes.
pub const QUERIES_AUDITED_MAX: usize = 256;
/// Refusals that a hospital signs and stores in one key epoch: a coordinator that lies without end fills no disk.
pub const REFUSALS_MAX: u64 = 4096;
/// Distinct cohorts on one base model that a hospital remembers as possibly revealed.
pub const REVEALED_COHORTS_MAX: usize = 256;
/// A log entry's own overhead (index, previous digest, signature, kind), bytes, for framing.
pub const ENTRY_OVERHEAD_BYTES: usize = 256;
/// A hybrid sealing key: X25519 (32) and ML-KEM-768 encapsulation key (1 184), bytes.
pub const SEALING_KEY_BYTES: usize = 32 + 1184;
/// Plaintext bytes in one sealed box. An AGG14 dealing is 860 160 bytes; this leaves room for its small companions.
pub const SEALED_PLAINTEXT_BYTES_MAX: usize = 16 << 20;
/// Log entries a hospital holds back while it decodes a closed round; the rest is fetched again.
pub const ENTRIES_DEFERRED_MAX: usize = 64;
