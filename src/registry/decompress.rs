//! From a layer's bytes to its tar: gzip, zstd or neither, with bounds. Never trusts the media type over the content.

use std::io::{self, BufRead, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::bufread::MultiGzDecoder;

use super::config::Limits;
use super::error::RegistryError;
use super::manifest::Blob;
use super::pipe::{PipeReader, PipeWriter};

/// Why unpacking a stream stopped early.
pub(super) enum Stop {
    /// The data is at fault.
    Fault(RegistryError),
    /// One of the neighbours in the chain gave up; it knows why.
    Neighbour,
}

/// zstd windows up to this size (2^25 = 32 MiB, what encoders for images use at most) are given to every thread.
const USUAL_WINDOW: u32 = 25;
/// Larger ones, up to zstd's own default bound (128 MiB), are decoded one layer at a time.
const LARGEST_WINDOW: u32 = 27;
static LARGE_WINDOW: Mutex<()> = Mutex::new(());

/// Decompresses one layer from pipe to pipe.
pub(super) fn decompress(
    layer: &Blob,
    limits: &Limits,
    mut from: PipeReader,
    mut to: PipeWriter,
) -> Result<(), Stop> {
    let start = match from.fill_buf() {
        Ok(start) => start,
        Err(_) => return Err(Stop::Neighbour),
    };
    let result = match kind(start, &layer.media_type) {
        Kind::Gzip => {
            let mut decoder = MultiGzDecoder::new(&mut from);
            copy(layer, limits, "gzip", &mut decoder, &mut to)
        }
        Kind::Zstd { window } => unzstd(layer, limits, window, &mut from, &mut to),
        Kind::Plain => copy(layer, limits, "tar", &mut from, &mut to),
        Kind::Unexpected => Err(Stop::Fault(RegistryError::NotCompressed {
            digest: layer.digest.clone(),
            media_type: layer.media_type.clone(),
        })),
    };
    // After corrupt data the rest is read too: when the digest is wrong as well, that is the better message. The tar
    // does not end before the download was verified to its last byte.
    let worth_reading = matches!(
        result,
        Ok(()) | Err(Stop::Fault(RegistryError::Corrupt { .. }))
    );
    if worth_reading && from.drain().is_err() {
        return Err(Stop::Neighbour);
    }
    result?;
    to.end().map_err(|_| Stop::Neighbour)
}

enum Kind {
    Gzip,
    Zstd { window: Option<u64> },
    Plain,
    Unexpected,
}

/// Docker's media type for gzip is found on zstd and on plain tar as well, so the first bytes decide.
fn kind(start: &[u8], media_type: &str) -> Kind {
    let plain = media_type.ends_with(".tar") || start.get(257..262) == Some(b"ustar");
    match start {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd {
            window: zstd_window(start),
        },
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd { window: None },
        _ if plain => Kind::Plain,
        _ => Kind::Unexpected,
    }
}

/// The window that a frame asks for, in bytes (RFC 8878 section 3.1.1.1.2); `None` for a frame in a single segment.
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = frame.get(4)?;
    if descriptor & 0x20 != 0 {
        return None;
    }
    let byte = *frame.get(5)?;
    let base = 1_u64 << (10 + u32::from(byte >> 3));
    Some(base + base / 8 * u64::from(byte & 7))
}

fn unzstd(
    layer: &Blob,
    limits: &Limits,
    window: Option<u64>,
    from: &mut PipeReader,
    to: &mut PipeWriter,
) -> Result<(), Stop> {
    let fault = |error: io::Error| corrupt(layer, "zstd", &error);
    let large = window.is_some_and(|window| window > 1 << USUAL_WINDOW);
    let _one_at_a_time: Option<MutexGuard<'_, ()>> =
        large.then(|| LARGE_WINDOW.lock().unwrap_or_else(PoisonError::into_inner));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(from).map_err(fault)?;
    let log = if large { LARGEST_WINDOW } else { USUAL_WINDOW };
    decoder.window_log_max(log).map_err(fault)?;
    copy(layer, limits, "zstd", &mut decoder, to)
}

fn corrupt(layer: &Blob, compression: &'static str, error: &io::Error) -> Stop {
    Stop::Fault(RegistryError::Corrupt {
        digest: layer.digest.clone(),
        compression,
        reason: error.to_string(),
    })
}

fn copy(
    layer: &Blob,
    limits: &Limits,
    compression: &'static str,
    from: &mut dyn Read,
    to: &mut PipeWriter,
) -> Result<(), Stop> {
    let limit = layer
        .size
        .saturating_mul(limits.ratio)
        .max(limits.ratio_free_bytes);
    let mut total: u64 = 0;
    loop {
        let mut buffer = to.buffer().map_err(|_| Stop::Neighbour)?;
        let length =
            fill(from, &mut buffer).map_err(|error| corrupt(layer, compression, &error))?;
        if length == 0 {
            return Ok(());
        }
        total += u64::try_from(length).unwrap_or(u64::MAX);
        if total > limit {
            return Err(Stop::Fault(RegistryError::Bomb {
                digest: layer.digest.clone(),
                compressed: layer.size,
                limit,
            }));
        }
        to.send(buffer, length).map_err(|_| Stop::Neighbour)?;
    }
}

/// Reads until the buffer is full or the input ends: large chunks mean few hand-overs.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
