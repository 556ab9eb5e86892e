//! What DUMP answers and RESTORE takes.

use crc::{CRC_64_REDIS, Crc};

/// What stands in a payload before what is ours: that it is a module's.
pub(crate) const HEAD_LEN: usize = 1;

/// What stands behind it: the version of RDB files and the checksum.
pub(crate) const FOOTER_LEN: usize = VERSION_LEN + CHECKSUM_LEN;

const VERSION_LEN: usize = 2;
const CHECKSUM_LEN: usize = 8;

static CHECKSUM: Crc<u64> = Crc::<u64>::new(&CRC_64_REDIS);

/// Makes the checksum right that a payload or an RDB file ends in.
pub(crate) fn set_checksum(bytes: &mut [u8]) {
    let (content, checksum) = bytes.split_last_chunk_mut::<CHECKSUM_LEN>().expect("it ends in a checksum");
    *checksum = CHECKSUM.checksum(content).to_le_bytes();
}
