//! The payloads that DUMP returns and RESTORE accepts.

use crc::{CRC_64_REDIS, Crc};

/// The length of what precedes our value in a payload: the type byte of modules.
pub(crate) const HEAD_LEN: usize = 1;

/// The length of what follows our value: the version of RDB files and the checksum.
pub(crate) const FOOTER_LEN: usize = VERSION_LEN + CHECKSUM_LEN;

const VERSION_LEN: usize = 2;
const CHECKSUM_LEN: usize = 8;

static CHECKSUM: Crc<u64> = Crc::<u64>::new(&CRC_64_REDIS);

/// Corrects the checksum at the end of a payload or an RDB file.
pub(crate) fn set_checksum(bytes: &mut [u8]) {
    let (content, checksum) = bytes.split_last_chunk_mut::<CHECKSUM_LEN>().expect("it ends in a checksum");
    *checksum = CHECKSUM.checksum(content).to_le_bytes();
}
