use std::{io, path::Path};

use ndarray::Array2;

use crate::{
    IoError,
    atomic::{self, Overwrite},
};

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// A picture; `[row, column]` from the upper left.
#[derive(Debug, Clone)]
pub(super) struct Canvas(pub(super) Array2<Colour>);

impl Canvas {
    /// The pictures from left to right, centred vertically, on black.
    pub(super) fn side_by_side(parts: &[&Self], gap: usize) -> Self {
        let height = parts.iter().map(|part| part.0.nrows()).max().unwrap_or(0);
        let width =
            parts.iter().map(|part| part.0.ncols()).sum::<usize>() + gap * parts.len().saturating_sub(1);
        let mut whole = Array2::from_elem((height, width), [0; 3]);
        let mut left = 0;
        for part in parts {
            let (rows, columns) = part.0.dim();
            let top = (height - rows) / 2;
            whole.slice_mut(ndarray::s![top..top + rows, left..left + columns]).assign(&part.0);
            left += columns + gap;
        }
        Self(whole)
    }

    /// A cross with an open middle, white on a black border so that it shows on any tissue.
    pub(super) fn cross(&mut self, [row, column]: [i64; 2]) {
        for (colour, margin) in [([0; 3], 1), ([255; 3], 0)] {
            for along in -11_i64 - margin..=11 + margin {
                if along.abs() < 4 - margin {
                    continue;
                }
                for across in -margin..=margin {
                    self.set([row + along, column + across], colour);
                    self.set([row + across, column + along], colour);
                }
            }
        }
    }

    fn set(&mut self, [row, column]: [i64; 2], colour: Colour) {
        let index = (usize::try_from(row), usize::try_from(column));
        if let (Ok(row), Ok(column)) = index
            && let Some(pixel) = self.0.get_mut((row, column))
        {
            *pixel = colour;
        }
    }

    /// Writes the picture as 8-bit RGB, replacing a file of that name.
    pub(super) fn write_png(&self, path: &Path) -> Result<(), IoError> {
        atomic::write(path, Overwrite::Replace, |file| self.encode(file))
    }

    /// The picture as an 8-bit RGB PNG file.
    pub(super) fn png(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)?;
        Ok(bytes)
    }

    fn encode(&self, file: impl io::Write) -> io::Result<()> {
        let (height, width) = self.0.dim();
        let bytes: Vec<u8> = self.0.iter().flatten().copied().collect();
        let mut encoder = png::Encoder::new(file, to_u32(width)?, to_u32(height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&bytes)?;
        Ok(writer.finish()?)
    }
}

fn to_u32(pixels: usize) -> io::Result<u32> {
    u32::try_from(pixels).map_err(io::Error::other)
}
