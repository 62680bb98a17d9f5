//! Relative positions as SAM stores them: one table for each axis, a row for each offset.

use tch::{Kind, Tensor};

/// The rows `q - k` of a table of relative positions, resized linearly to the `2 side - 1` offsets of an axis.
///
/// # Shapes
/// `[rows, E / heads]` to `[side, side, E / heads]`, indexed by q and k.
pub(crate) fn offsets(table: &Tensor, side: i64) -> Tensor {
    let index = Tensor::arange(side, (Kind::Int64, table.device()));
    let offset = index.unsqueeze(1) - index.unsqueeze(0) + (side - 1);
    resized(table, side).index_select(0, &offset.flatten(0, 1)).view([side, side, -1])
}

/// A table of relative positions, resized linearly to the `2 side - 1` offsets of an axis, from the lowest.
///
/// # Shapes
/// `[rows, E / heads]` to `[2 side - 1, E / heads]`.
pub(crate) fn resized(table: &Tensor, side: i64) -> Tensor {
    let rows = 2 * side - 1;
    if table.size()[0] == rows {
        return table.shallow_clone();
    }
    table.tr().unsqueeze(0).upsample_linear1d([rows], false, None).squeeze_dim(0).tr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(table.to_kind(Kind::Double).flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_table_of_the_right_length_is_only_indexed() {
        let table = Tensor::from_slice(&[10f32, 11.0, 12.0, 13.0, 14.0]).view([5, 1]);
        // q - k runs from -2 (row 0) to 2 (row 4).
        assert_eq!(rows(&offsets(&table, 3)), [12.0, 11.0, 10.0, 13.0, 12.0, 11.0, 14.0, 13.0, 12.0]);
    }

    #[test]
    fn another_length_is_resized_with_half_pixel_centres() {
        let table = Tensor::from_slice(&[0f32, 3.0, 6.0, 9.0, 12.0, 15.0]).view([6, 1]);
        // Six rows to three: row r reads at 2 r + 0.5.
        assert_eq!(rows(&offsets(&table, 2)), [7.5, 1.5, 13.5, 7.5]);
    }
}
