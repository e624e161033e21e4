//! Training rounds: exact, threshold-decrypted sums of quantised updates.
