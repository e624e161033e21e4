//! PEM text (RFC 7468) of certificates and keys, written without a look-up table.
//!
//! A table indexed by key bits would leave a trace in the cache, so six bits become a character by
//! arithmetic alone. Reading is `rustls-pki-types`, whose decoder is constant-time as well.

use zeroize::Zeroizing;

/// Characters of base64 on one line.
const LINE: usize = 64;

/// Wraps DER into one PEM block. The text is wiped on drop; its buffer is sized up front so that no
/// reallocation leaves a copy behind.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let characters = der.len().div_ceil(3) * 4;
    let frame = "-----BEGIN -----\n-----END -----\n".len() + 2 * label.len();
    let mut text = Zeroizing::new(String::with_capacity(characters + characters.div_ceil(LINE) + frame));
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    for line in der.chunks(LINE / 4 * 3) {
        push_base64(&mut text, line);
        text.push('\n');
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

/// Base64 (RFC 4648) without line breaks. The text is wiped on drop; its buffer is sized up front.
pub(super) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    push_base64(&mut text, bytes);
    text
}

fn push_base64(text: &mut String, bytes: &[u8]) {
    for triple in bytes.chunks(3) {
        let byte = |i: usize| u32::from(triple.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.push(character(bits >> 18));
        text.push(character(bits >> 12));
        text.push(if triple.len() > 1 { character(bits >> 6) } else { '=' });
        text.push(if triple.len() > 2 { character(bits) } else { '=' });
    }
}

/// The base64 character of the low six bits. Each step adds the distance to the next range of the
/// alphabet when the value lies beyond the previous one; the comparisons are sign bits.
fn character(bits: u32) -> char {
    let value = i32::from((bits & 63) as u8);
    let mut code = value + i32::from(b'A');
    code += ((25 - value) >> 8) & 6;
    code -= ((51 - value) >> 8) & 75;
    code -= ((61 - value) >> 8) & 15;
    code += ((62 - value) >> 8) & 3;
    char::from((code & 0x7f) as u8)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn the_six_bit_alphabet_is_that_of_rfc_4648() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let ours: String = (0..64).map(super::character).collect();
        assert_eq!(ours, alphabet);
    }

    #[test]
    fn every_length_reads_back_through_another_decoder() {
        for len in 1..200_u8 {
            let der: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37) ^ len).collect();
            let text = super::encode("CERTIFICATE", &der);
            assert_eq!(text.len(), text.capacity(), "the buffer was sized exactly");
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), der);
        }
    }
}
