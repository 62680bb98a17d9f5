//! Measurements of a mask as commands print them, in the file's own voxel indices.

use std::fmt;

use ndarray::ArrayView3;
use sam3d_geom::{BoundingBox, Orientation};
use sam3d_io::{Grid, IoError, orient::AxisMap};
use sam3d_metrics::{Diameter, IntensityStatistics, MaskMeasurements};
use serde::Serialize;

/// What was measured of one mask that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measurements {
    /// Number of voxels.
    pub voxels: u64,
    /// Volume in ml.
    pub volume_ml: f64,
    /// The slice of the axial diameters.
    pub axial_slice: Slice,
    /// The longest diameter in a slice.
    pub longest_axial_diameter: DiameterReport,
    /// The longest one perpendicular to it in its slice.
    pub perpendicular_diameter: DiameterReport,
    /// Their product (WHO).
    pub diameter_product_mm2: f64,
    /// The longest diameter in any direction.
    pub longest_3d_diameter: DiameterReport,
    /// First voxel, one past the last voxel, and edges in mm.
    pub bounding_box: VoxelBox,
    /// Parts connected by faces, edges or corners.
    pub components: usize,
    /// Voxels of the largest of them.
    pub largest_component_voxels: u64,
    /// The image inside the mask.
    pub intensity_hu: Option<IntensityStatistics>,
}

/// A slice across one of the file's axes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slice {
    /// `i`, `j` or `k`: the one nearest to superior.
    pub axis: char,
    /// The index along it, from 0.
    pub index: usize,
}

/// A diameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DiameterReport {
    /// Its length.
    pub length_mm: f64,
    /// Its ends; integers are voxel centres.
    pub ends_ijk: [[f64; 3]; 2],
}

/// A box of voxels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VoxelBox {
    start_ijk: [usize; 3],
    end_ijk: [usize; 3],
    size_ijk_mm: [f64; 3],
}

impl Measurements {
    /// Measures `mask`, `[k, j, i]` on `grid`, every value but 0 belonging to it; `None` if it is empty. `intensity_hu` is that
    /// of the image inside it, if there is one.
    ///
    /// # Errors
    /// [`IoError`] if the mask does not have the grid's shape.
    pub fn of(
        mask: ArrayView3<'_, u8>,
        grid: &Grid,
        intensity_hu: Option<IntensityStatistics>,
    ) -> Result<Option<Self>, IoError> {
        let axes = AxisMap::new(grid, Orientation::Lps);
        let world_from_dhw = axes.world_from_dhw(grid)?;
        // Contiguous rows are measured several times as fast.
        let found = MaskMeasurements::of(axes.to_dhw(mask)?.view(), &world_from_dhw);
        Ok(found.map(|found| Self::stored(&found, &axes, intensity_hu)))
    }

    fn stored(found: &MaskMeasurements, axes: &AxisMap, intensity_hu: Option<IntensityStatistics>) -> Self {
        let line = |diameter: Diameter| DiameterReport {
            length_mm: diameter.length_mm,
            // Plus zero: no end is at minus zero.
            ends_ijk: diameter.ends.map(|end| axes.ijk_from_dhw_point(end).map(|index| index + 0.0)),
        };
        let axis = axes.axes()[0];
        let index = axes.ijk_from_dhw([found.axial.slice, 0, 0])[axis];
        Self {
            voxels: found.voxels,
            volume_ml: found.volume_mm3 / 1000.0,
            axial_slice: Slice { axis: ['i', 'j', 'k'][axis], index },
            longest_axial_diameter: line(found.axial.longest),
            perpendicular_diameter: line(found.axial.perpendicular),
            diameter_product_mm2: found.axial.product_mm2(),
            longest_3d_diameter: line(found.longest),
            bounding_box: VoxelBox::stored(found.bounding_box, found.bounding_box_mm, axes),
            components: found.components,
            largest_component_voxels: found.largest_component_voxels,
            intensity_hu,
        }
    }

    /// Both axial diameters and the one in 3D, on one line.
    pub fn diameters(&self) -> String {
        let Slice { axis, index } = self.axial_slice;
        format!(
            "{:.1} x {:.1} mm (axial, slice {axis} = {index}), {:.1} mm in 3D",
            self.longest_axial_diameter.length_mm,
            self.perpendicular_diameter.length_mm,
            self.longest_3d_diameter.length_mm
        )
    }

    /// Names of the columns of [`csv`](Self::csv).
    pub const CSV_HEADER: &str = "voxels,volume_ml,longest_axial_diameter_mm,perpendicular_diameter_mm,\
        diameter_product_mm2,longest_3d_diameter_mm,size_i_mm,size_j_mm,size_k_mm,components,\
        mean_hu,median_hu,std_hu,minimum_hu,maximum_hu";

    /// The numbers with commas between them; intensities are empty without an image.
    pub fn csv(&self) -> String {
        let [i, j, k] = self.bounding_box.size_ijk_mm;
        let numbers = [
            self.volume_ml,
            self.longest_axial_diameter.length_mm,
            self.perpendicular_diameter.length_mm,
            self.diameter_product_mm2,
            self.longest_3d_diameter.length_mm,
            i,
            j,
            k,
        ];
        let intensity =
            self.intensity_hu.map(|IntensityStatistics { mean, median, std, minimum, maximum }| {
                [mean, median, std, minimum, maximum].map(|value| value.to_string())
            });
        let mut cells = vec![self.voxels.to_string()];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.push(self.components.to_string());
        cells.extend(intensity.unwrap_or_default());
        cells.join(",")
    }
}

impl VoxelBox {
    fn stored(bounds: BoundingBox, sizes_mm: [f64; 3], axes: &AxisMap) -> Self {
        let index = |corner: [i64; 3]| axes.ijk_from_dhw(corner.map(|n| n.max(0) as usize));
        let (first, last) = (index(bounds.start()), index(bounds.end().map(|end| end - 1)));
        let mut size_ijk_mm = [0.0; 3];
        for (a, axis) in axes.axes().into_iter().enumerate() {
            size_ijk_mm[axis] = sizes_mm[a];
        }
        Self {
            start_ijk: std::array::from_fn(|axis| first[axis].min(last[axis])),
            end_ijk: std::array::from_fn(|axis| first[axis].max(last[axis]) + 1),
            size_ijk_mm,
        }
    }
}

impl fmt::Display for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>,
                    name: &str,
                    DiameterReport { length_mm, ends_ijk: [a, b] }: DiameterReport| {
            writeln!(f, "{name:<24}{length_mm:.2} mm, from {a:?} to {b:?} (i, j, k)")
        };
        let Slice { axis, index } = self.axial_slice;
        let VoxelBox { start_ijk, end_ijk, size_ijk_mm: [x, y, z] } = self.bounding_box;
        let last = end_ijk.map(|end| end - 1);
        writeln!(f, "{:<24}{:.3} ml ({} voxels)", "volume", self.volume_ml, self.voxels)?;
        line(f, "longest axial diameter", self.longest_axial_diameter)?;
        line(f, "perpendicular diameter", self.perpendicular_diameter)?;
        writeln!(f, "{:<24}{:.1} mm2 in slice {axis} = {index}", "product", self.diameter_product_mm2)?;
        line(f, "longest 3D diameter", self.longest_3d_diameter)?;
        writeln!(
            f,
            "{:<24}{start_ijk:?} to {last:?} (i, j, k), {x:.2} x {y:.2} x {z:.2} mm",
            "bounding box"
        )?;
        writeln!(
            f,
            "{:<24}{}, the largest of {} voxels",
            "components", self.components, self.largest_component_voxels
        )?;
        if let Some(IntensityStatistics { mean, median, std, minimum, maximum }) = self.intensity_hu {
            writeln!(
                f,
                "{:<24}mean {mean:.1}, median {median:.1}, standard deviation {std:.1}, {minimum} to {maximum} HU",
                "intensity"
            )?;
        }
        Ok(())
    }
}
