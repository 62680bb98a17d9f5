// Voxels, millimetres and the three planes: nothing here touches the page.

/** An affine applied to a point. */
export function apply(rows, [x, y, z]) {
  return rows.map((row) => row[0] * x + row[1] * y + row[2] * z + row[3])
}

/** The distance in millimetres between two points in voxels. */
export function distance(worldFromIjk, a, b) {
  const [from, to] = [apply(worldFromIjk, a), apply(worldFromIjk, b)]
  return Math.hypot(...from.map((value, axis) => value - to[axis]))
}

/** For right, anterior and superior in turn: the file's axis nearest to it, and whether that axis runs the other way. */
function nearestAxes(worldFromIjk) {
  const columns = [0, 1, 2].map((axis) => worldFromIjk.map((row) => row[axis]))
  const lengths = columns.map((column) => Math.hypot(...column))
  const pairs = [0, 1, 2].flatMap((axis) => [0, 1, 2].map((world) => ({
    axis, world, cosine: columns[axis][world] / lengths[axis],
  })))
  pairs.sort((a, b) => Math.abs(b.cosine) - Math.abs(a.cosine))
  const found = []
  for (const { axis, world, cosine } of pairs) {
    if (found[world] || found.some((other) => other?.axis === axis)) continue
    found[world] = { axis, reversed: cosine < 0 }
  }
  return found
}

/** The names of the planes, in the order in which they are shown. */
export const PLANES = ['axial', 'coronal', 'sagittal']

/**
 * The planes of an image as a radiologist sees them: the patient's right on the left, anterior above in axial slices and on the
 * left in sagittal ones. Each has the file's axis across it, and those that run to the right and down on the screen.
 */
export function planesOf({ shape_ijk: shape, spacing_ijk_mm: spacing, world_from_ijk: worldFromIjk }) {
  const [right, anterior, superior] = nearestAxes(worldFromIjk)
  // The screen's right is the patient's left; down is posterior or inferior.
  const left = { axis: right.axis, reversed: !right.reversed }
  const posterior = { axis: anterior.axis, reversed: !anterior.reversed }
  const inferior = { axis: superior.axis, reversed: !superior.reversed }
  const plane = (name, across, horizontal, vertical, letters) => ({
    name,
    across: across.axis,
    horizontal,
    vertical,
    letters,
    slices: shape[across.axis],
    size: [shape[horizontal.axis], shape[vertical.axis]],
    spacing: [spacing[horizontal.axis], spacing[vertical.axis]],
    // Superior, anterior or right is the positive direction of a step across the plane.
    step: across.reversed ? -1 : 1,
  })
  return [
    plane('axial', superior, left, posterior, ['R', 'L', 'A', 'P']),
    plane('coronal', anterior, left, inferior, ['R', 'L', 'S', 'I']),
    plane('sagittal', right, posterior, inferior, ['A', 'P', 'S', 'I']),
  ]
}

/** The place on a plane's picture, in (fractional) pixels from its corner, of a point in voxels. */
export function pixelOf(plane, ijk) {
  return [plane.horizontal, plane.vertical].map(({ axis, reversed }, at) =>
    (reversed ? plane.size[at] - 1 - ijk[axis] : ijk[axis]) + 0.5)
}

/** The point in (fractional) voxels at a place on a plane's picture, on the slice `index`. */
export function pointAt(plane, index, pixel) {
  const ijk = [0, 0, 0]
  ijk[plane.across] = index
  ;[plane.horizontal, plane.vertical].forEach(({ axis, reversed }, at) => {
    const value = pixel[at] - 0.5
    ijk[axis] = reversed ? plane.size[at] - 1 - value : value
  })
  return ijk
}

/** The nearest voxel to a point; undefined outside the volume. */
export function voxelAt(shape, point) {
  const ijk = point.map((value) => Math.round(value) + 0)
  return ijk.every((index, axis) => index >= 0 && index < shape[axis]) ? ijk : undefined
}

/** The voxels of a polyline, each once after the one before. */
export function lineOfVoxels(shape, points) {
  const voxels = []
  const add = (point) => {
    const ijk = point.map((value, axis) => Math.min(shape[axis] - 1, Math.max(0, Math.round(value))))
    if (voxels.length === 0 || voxels.at(-1).some((value, axis) => value !== ijk[axis])) voxels.push(ijk)
  }
  points.forEach((point, at) => {
    const from = points[at - 1] ?? point
    const steps = Math.max(1, Math.ceil(Math.max(...point.map((value, axis) => Math.abs(value - from[axis])))))
    for (let step = at === 0 ? steps : 1; step <= steps; step += 1) {
      add(from.map((value, axis) => value + ((point[axis] - value) * step) / steps))
    }
  })
  return voxels
}
